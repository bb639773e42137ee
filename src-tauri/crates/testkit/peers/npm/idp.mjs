// The organisation's identity provider, and the authorization server of its mail: oidc-provider with people who have
// passwords. Started as `node idp.mjs PACKAGES SETTINGS`, where PACKAGES is the folder that holds node_modules and
// SETTINGS is JSON. Prints one line `ready <issuer>` when it can be asked, and one line for each sign-in.
//
// Whoever administers it posts to /admin: clients/<id> with members of the client's metadata to change, and
// people/<login>/sign-out or people/<login>/disable, vouching with what vouching.mjs takes, and answers/hold to have it do
// what the token endpoint is asked for without ever answering, or answers/give to have it answer again; nonces/lose to have the
// nonce in the ID tokens of authorization codes only, or nonces/keep; claims/<login>/<name> with the value that a claim has from
// then on. It prints a line for each renewal, each held answer and each secret that it hands out.
//
// It must never accept a wrong password, skip consent or invent a group: tests rely on it as on a stranger.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { vouching } from './vouching.mjs';

const [packages, settingsText] = process.argv.slice(2);
const settings = JSON.parse(settingsText);
const entry = path.join(packages, 'node_modules/oidc-provider/lib/index.js');
const { default: Provider, errors } = await import(pathToFileURL(entry).href);

const people = new Map(settings.people.map((person) => [person.login, person]));
const server = createServer();
await new Promise((resolve) => server.listen(settings.port, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const signingKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...signingKey, use: 'sig', alg: 'RS256', kid: 'signing' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  clients: settings.clients,
  // Deskgate reads groups from the ID token; the strict form would only put them in the userinfo answer.
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'clearance'], groups: ['groups'] },
  // A client that registers itself may ask for a resource's scopes, so they have to be known here too.
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups', ...settings.resourceScopes],
  findAccount: (_context, login) => {
    const person = people.get(login);
    return person && { accountId: login, claims: () => claims(person) };
  },
  responseTypes: ['code'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: settings.accessTokenSeconds,
    ClientCredentials: settings.accessTokenSeconds,
    AuthorizationCode: 60,
    DeviceCode: 300,
    Grant: settings.refreshTokenSeconds,
    IdToken: settings.idTokenSeconds,
    Interaction: 600,
    RefreshToken: settings.refreshTokenSeconds,
    Session: settings.refreshTokenSeconds,
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true, logoutSource: (context, form) => { context.body = logoutPage(form); } },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
  },
  // Clients are told of logouts on this computer, which the provider would not do by itself.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
});
provider.on('server_error', (_context, error) => console.error(error));
provider.on('backchannel.error', (_context, error) => console.error(error));
// Whether the nonce of a sign-in comes back whichever way tokens are got. By itself the provider forgets that of a device
// authorization request; Keycloak, for one, has it in the ID token. And some leave it out when they renew.
let nonces = true;
const { save } = provider.DeviceCode.prototype;
provider.DeviceCode.prototype.save = function saveWithNonce(...args) {
  this.nonce ??= this.params?.nonce;
  return save.apply(this, args);
};
const { payload } = provider.IdToken.prototype;
provider.IdToken.prototype.payload = function payloadWithout() {
  if (!nonces && this.ctx?.oidc.params?.grant_type !== 'authorization_code') this.set('nonce', undefined);
  return payload.apply(this);
};
// What nobody but its holder may know.
provider.on('device_authorization.success', (_context, { device_code: device, user_code: user }) => {
  console.log(`secret device-code ${device}\nsecret user-code ${user}`);
});
for (const [what, event] of [['refresh', 'refresh_token'], ['code', 'authorization_code'], ['session', 'session']]) {
  provider.on(`${event}.saved`, ({ jti }) => console.log(`secret ${what} ${jti}`));
}
provider.on('grant.success', ({ oidc }) => {
  if (oidc.params.grant_type === 'refresh_token') console.log(`renewed ${oidc.account.accountId} ${oidc.client.clientId}`);
});
provider.on('grant.error', ({ oidc }, error) => {
  if (oidc.params?.grant_type === 'refresh_token') console.log(`not-renewed ${error.error} ${oidc.params.client_id}`);
  if (oidc.params?.grant_type?.endsWith(':device_code')) console.log(`not-by-code ${error.error}`);
});
provider.on('end_session.success', () => console.log('signed-out'));

const sessions = new Map();
provider.on('session.saved', (session) => sessions.set(session.uid, session.id));
provider.on('session.destroyed', (session) => sessions.delete(session.uid));

const administerVouching = await vouching(provider, { packages, errors, issuer, signingKey, people, resourceServer });
let holding = false;
const handle = provider.callback();
server.on('request', (request, response) => {
  if (request.url.startsWith('/admin/')) return administer(request, response);
  if (holding && request.url === '/token') {
    response.end = () => console.log('held');
    return handle(request, response);
  }
  const found = /^\/interaction\/([\w-]+)(\/login|\/consent|\/cancel)?$/.exec(request.url);
  if (!found) return handle(request, response);
  return interact(request, response, found[2]).catch((error) => {
    console.error(error);
    response.writeHead(error.status ?? error.statusCode ?? 500, { 'content-type': 'text/plain' });
    response.end(String(error.message));
  });
});
console.log(`ready ${issuer}`);

async function administer(request, response) {
  const [, , kind, name, act] = request.url.split('/');
  try {
    if (kind === 'clients') {
      const client = await provider.Client.find(name);
      for (const [member, value] of Object.entries(JSON.parse(await body(request)))) {
        client[member.replace(/_(\w)/g, (_match, letter) => letter.toUpperCase())] = value;
      }
    } else if (kind === 'vouching') {
      await administerVouching(JSON.parse(await body(request)));
    } else if (kind === 'nonces') {
      nonces = name === 'keep';
    } else if (kind === 'claims') {
      people.get(name)[act] = JSON.parse(await body(request)).value;
    } else if (kind === 'answers') {
      holding = name === 'hold';
    } else {
      if (act === 'disable') people.delete(name);
      await signOut(name);
    }
    response.writeHead(204).end();
  } catch (error) {
    console.error(error);
    response.writeHead(500).end(String(error));
  }
}

// What an administrator's console does: the sessions end, and whoever trusts them is told.
async function signOut(login) {
  for (const id of [...sessions.values()]) {
    const session = await provider.Session.find(id);
    if (session?.accountId !== login) continue;
    const told = Object.entries(session.authorizations ?? {}).map(async ([clientId, { grantId }]) => {
      const client = await provider.Client.find(clientId);
      if (grantId) await Promise.all([provider.RefreshToken, provider.AccessToken].map((token) => token.revokeByGrantId(grantId)));
      if (client?.backchannelLogoutUri) await client.backchannelLogout(login, session.sidFor(clientId));
    });
    await session.destroy();
    await Promise.all(told);
  }
}

async function interact(request, response, action) {
  const interaction = await provider.interactionDetails(request, response);
  const name = interaction.prompt.name;
  if (action === undefined) {
    return show(response, 200, name === 'login' ? loginPage(interaction) : await consentPage(interaction));
  }
  if (request.method !== 'POST') return show(response, 405, page('Not possible', ''));
  if (action === '/cancel') {
    const result = { error: 'access_denied', error_description: 'the person said no' };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  if (action === '/login' && name === 'login') {
    const form = new URLSearchParams(await body(request));
    const person = people.get(form.get('login'));
    if (!person || person.password !== form.get('password')) {
      console.log(`refused ${JSON.stringify(form.get('login'))}`);
      return show(response, 401, loginPage(interaction, 'Name or password is wrong.'));
    }
    console.log(`signed-in ${person.login}`);
    const result = { login: { accountId: person.login } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }
  if (action === '/consent' && name === 'consent') {
    const grantId = await grant(interaction);
    console.log(`consented ${interaction.session.accountId} ${interaction.params.client_id}`);
    return provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
  }
  return show(response, 409, page('Not possible', ''));
}

async function grant(interaction) {
  const { prompt, params, session } = interaction;
  const stored = interaction.grantId && (await provider.Grant.find(interaction.grantId));
  const given = stored || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) given.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) given.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    given.addResourceScope(resource, scopes.join(' '));
  }
  return given.save();
}

function resourceServer(_context, resource) {
  return {
    scope: settings.resourceScopes.join(' '),
    audience: resource,
    accessTokenFormat: 'jwt',
    accessTokenTTL: settings.accessTokenSeconds,
    jwt: { sign: { alg: 'RS256' } },
  };
}

function claims(person) {
  return {
    sub: person.login,
    name: person.name,
    preferred_username: person.login,
    email: person.email,
    email_verified: true,
    groups: person.groups,
    clearance: person.clearance,
  };
}

function loginPage(interaction, problem = '') {
  return page('Sign in to Acme', `
    <p role="alert">${text(problem)}</p>
    <form method="post" action="/interaction/${interaction.uid}/login">
      <label>Name <input name="login" autofocus autocomplete="username" required></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
      <button type="submit">Sign in</button>
    </form>
    <form method="post" action="/interaction/${interaction.uid}/cancel"><button>Cancel</button></form>`);
}

function logoutPage(form) {
  return page('Sign out of Acme', `
    ${form}
    <button autofocus type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
}

async function consentPage(interaction) {
  const client = await provider.Client.find(interaction.params.client_id);
  const wanted = [
    ...(interaction.prompt.details.missingOIDCScope ?? []),
    ...Object.values(interaction.prompt.details.missingResourceScopes ?? {}).flat(),
  ];
  return page('Allow access', `
    <p>${text(client.clientName ?? client.clientId)} asks for:</p>
    <ul>${wanted.map((scope) => `<li>${text(scope)}</li>`).join('')}</ul>
    <form method="post" action="/interaction/${interaction.uid}/consent"><button autofocus>Allow</button></form>
    <form method="post" action="/interaction/${interaction.uid}/cancel"><button>Cancel</button></form>`);
}

function page(title, content) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head>
    <body><main><h1>${title}</h1>${content}</main></body></html>`;
}

function show(response, status, html) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(html);
}

async function body(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > 65_536) throw Object.assign(new Error('too large'), { status: 413 });
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function text(value) {
  return String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
