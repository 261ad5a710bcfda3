import '@fontsource-variable/geist/wght.css';
import '@fontsource/instrument-serif/400.css';
import './design/tokens.css';
import './design/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { applyTheme } from './design/theme.svelte';

applyTheme();
const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
mount(App, { target });
