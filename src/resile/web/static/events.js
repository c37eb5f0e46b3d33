// The live list: newest first, bounded, filtered, paused.

import { byId, el, setText, showEmpty } from '/static/dom.js';
import { clock, moment } from '/static/format.js';
import { toneOf } from '/static/incidents.js';

const LENGTH_MAX = 200;
const WAITING_MAX = 200;

let events = [];
let waiting = [];
let isPaused = false;
let isDrawn = false;

export function startEvents() {
  byId('filter').addEventListener('input', redraw);
  byId('filter').addEventListener('keydown', (key) => {
    if (key.key !== 'Escape') return;
    byId('filter').value = '';
    redraw();
  });
  byId('pause').addEventListener('click', togglePause);
  document.addEventListener('keydown', (key) => {
    if (key.key !== '/' || key.ctrlKey || key.metaKey || key.altKey || key.target.matches('input')) return;
    key.preventDefault();
    byId('filter').focus();
  });
}

export function addEvents(newestFirst) {
  const known = new Set([...waiting, ...events].map((event) => event.seq));
  const fresh = newestFirst.filter((event) => !known.has(event.seq));
  if (isPaused) waiting = [...fresh, ...waiting].slice(0, WAITING_MAX);
  else take(fresh);
  showPause();
}

function take(fresh) {
  if (!fresh.length && isDrawn) return;
  events = [...fresh, ...events].sort((a, b) => b.seq - a.seq).slice(0, LENGTH_MAX);
  redraw();
}

function togglePause() {
  isPaused = !isPaused;
  byId('pause').setAttribute('aria-pressed', String(isPaused));
  const held = waiting;
  waiting = [];
  if (!isPaused) take(held);
  showPause();
}

function showPause() {
  setText(byId('pause'), isPaused ? `Resume${waiting.length ? ` (${waiting.length})` : ''}` : 'Pause');
}

function redraw() {
  isDrawn = true;
  const list = byId('events');
  const wanted = events.filter(matcher(byId('filter').value.trim().toLowerCase()));
  if (!wanted.length) {
    showEmpty(list, events.length ? 'None of the latest events fits the filter. The whole journal:' : 'No event yet. The journal begins with:', events.length ? 'resile events' : 'resile up');
    return;
  }
  const known = new Map([...list.children].map((node) => [node.seq, node]));
  list.replaceChildren(...wanted.map((event) => known.get(event.seq) ?? createEvent(event)));
}

function matcher(text) {
  if (text.endsWith('.*')) return (event) => event.kind.startsWith(text.slice(0, -1));
  return (event) => `${event.kind} ${event.subject} ${event.text}`.toLowerCase().includes(text);
}

function createEvent(event) {
  const time = el('time', '', clock(event.at));
  time.title = moment(event.at);
  const subject = event.subject.replace(/^(service|check)\//, '');
  const head = el('span', 'head', el('span', 'kind', event.kind), el('span', 'subject', subject));
  const summary = el('summary', '', head, time, el('span', 'text', event.text));
  const details = el('details', '', summary);
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('pre')) details.append(el('pre', '', JSON.stringify(event.body, null, 2)));
  });
  const node = el('li', 'event', details);
  node.dataset.state = toneOf(event.kind, event.text);
  node.seq = event.seq;
  return node;
}
