// Every state of the watch page from fixtures, for eyes and for axe: /states?state=<name>. With
// `theme`, `lang` and `frame` (white, black, tall, wide) as further parameters. Development only.
import '../src/ui/app.css';
import { mount } from 'svelte';
import { locale, LANGS } from '../src/words/locale.svelte';
import { appearance, THEMES } from '../src/ui/theme.svelte';
import Watch from '../src/watch/Watch.svelte';
import { fixtureShop, STATES, type StateName } from './fixtures';

const query = new URLSearchParams(location.search);
const lang = LANGS.find((one) => one === query.get('lang'));
if (lang) locale.choose(lang);
const theme = THEMES.find((one) => one === query.get('theme'));
if (theme) appearance.choose(theme);

const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');

const state = query.get('state');
if (state !== null && state in STATES) {
  const shop = fixtureShop(state as StateName, query.get('frame') ?? 'tall');
  mount(Watch, { target, props: { shop } });
} else {
  for (const name of Object.keys(STATES)) {
    const link = document.createElement('a');
    link.href = `/states?state=${name}`;
    link.textContent = name;
    link.className = 'block p-2 underline';
    target.append(link);
  }
}
