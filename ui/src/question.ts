import { mount } from 'svelte';
import Question from './Question.svelte';
import './tokens.css';

const target = document.getElementById('app');
if (target) mount(Question, { target, props: { id: location.hash.slice(1) } });
