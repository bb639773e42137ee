import { mount } from 'svelte';
import Question from './Question.svelte';
import { say } from './lib/say';
import './tokens.css';

document.title = say('window-question');

const target = document.getElementById('app');
if (target) mount(Question, { target, props: { id: location.hash.slice(1) } });
