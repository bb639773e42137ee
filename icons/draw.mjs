// Draws every icon: `node icons/draw.mjs` writes the SVG files and, with rsvg-convert, optipng and ImageMagick, the rest.
//
// The sign is a gate on a grid of 32. Each state has its own shape, so that nobody needs to tell colours apart:
// ready = an open gate; attention = with a dot; paused = with two bars; offline = hollow; refused = with a bar across;
// starting = an open gate, faint.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** The size that the tray draws; hosts scale it down. */
const TRAY_SIZE = 64;
const APP_SIZES = [32, 64, 128, 256, 512];

/** Panels are dark or light; the accents keep 3 : 1 on theirs. */
const PANELS = {
  'on-dark': { ink: '#f2f3f5', attention: '#ffb938', refused: '#ff6b6b' },
  'on-light': { ink: '#2b2f36', attention: '#b86a00', refused: '#c62828' },
  template: { ink: '#000000', attention: '#000000', refused: '#000000' },
};

// Two posts on feet, joined by a round arch.
const GATE =
  'M2 30v-4h2V15a12 12 0 0 1 24 0v11h2v4h-9v-4h2V15a7 7 0 0 0-14 0v11h2v4z';
const HOLLOW =
  'M3 29v-2h2V15a11 11 0 0 1 22 0v12h2v2h-7v-2h2V15a8 8 0 0 0-16 0v12h2v2z';

const cut = (shape) => `<mask id="cut"><rect width="32" height="32" fill="#fff"/>${shape}</mask>`;

const STATES = {
  ready: ({ ink }) => `<path d="${GATE}" fill="${ink}"/>`,
  starting: ({ ink }) => `<path d="${GATE}" fill="${ink}" opacity=".5"/>`,
  attention: ({ ink, attention }) =>
    `${cut('<circle cx="26" cy="6" r="7.5" fill="#000"/>')}<path d="${GATE}" fill="${ink}" mask="url(#cut)"/>` +
    `<circle cx="26" cy="6" r="5.75" fill="${attention}"/>`,
  paused: ({ ink }) =>
    `<path d="${GATE}" fill="${ink}"/><rect x="11.5" y="14" width="3" height="12" fill="${ink}"/>` +
    `<rect x="17.5" y="14" width="3" height="12" fill="${ink}"/>`,
  offline: ({ ink }) =>
    `<path d="${HOLLOW}" fill="none" stroke="${ink}" stroke-width="2" stroke-linejoin="round"/>`,
  refused: ({ ink, refused }) =>
    `${cut('<rect x="0" y="15" width="32" height="9" fill="#000"/>')}<path d="${GATE}" fill="${ink}" mask="url(#cut)"/>` +
    `<rect x="1" y="17" width="30" height="5" rx="1" fill="${refused}"/>`,
};

const svg = (body, box = 32) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${box} ${box}">${body}</svg>\n`;

// The application: the gate with its leaves open, on a plain ground.
const APP = svg(
  '<rect x="4" y="4" width="120" height="120" rx="28" fill="#1d4f5c"/>' +
    '<path d="M40 100V62a24 24 0 0 1 48 0v38z" fill="#123841"/>' +
    '<path d="M40 56 l14 7v43l-14-6z M88 56 l-14 7v43l14-6z" fill="#7cc4bd"/>' +
    '<path d="M26 106v-10h5V62a33 33 0 0 1 66 0v34h5v10H80V96h4V62a20 20 0 0 0-40 0v34h4v10z" fill="#f5f7f7"/>',
  128,
);

function write(name, text) {
  writeFileSync(join(here, name), text);
}

function render(source, target, size) {
  execFileSync('rsvg-convert', ['-w', size, '-h', size, join(here, source), '-o', join(here, target)].map(String));
  // Tauri wants plain RGBA: no palettes.
  execFileSync('optipng', ['-quiet', '-nx', '-strip', 'all', join(here, target)]);
}

for (const [panel, colours] of Object.entries(PANELS)) {
  for (const [state, draw] of Object.entries(STATES)) {
    const name = `tray/${state}-${panel}`;
    write(`${name}.svg`, svg(draw(colours)));
    render(`${name}.svg`, `${name}.png`, TRAY_SIZE);
  }
}
write('icon.svg', APP);
for (const size of APP_SIZES) {
  render('icon.svg', size === 512 ? 'icon.png' : `icon-${size}.png`, size);
}
// Windows wants its own container.
execFileSync('convert', ['icon-32.png', 'icon-64.png', 'icon-256.png', 'icon.ico'].map((name) => join(here, name)));
