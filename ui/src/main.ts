import { mount } from 'svelte';
import App from './App.svelte';
import { say } from './lib/say';
import './tokens.css';

document.title = say('window-main');

const target = document.getElementById('app');
if (target) mount(App, { target });
