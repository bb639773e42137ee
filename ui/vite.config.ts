import { resolve } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  // Pages are served from inside the program: relative addresses, and no second copy of anything.
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { main: resolve(import.meta.dirname, 'index.html'), question: resolve(import.meta.dirname, 'question.html') },
    },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'] },
});
