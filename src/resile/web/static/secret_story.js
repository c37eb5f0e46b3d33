// What looked odd, who is cut off, and the last rotations.

import { send } from '/static/access.js';
import { createBox, createButton, isAsking, openForm, showBox } from '/static/asked.js';
import { byId, el, mark, setAttribute, setMark, setText, setTime, showEmpty, sync } from '/static/dom.js';
import { ago, duration } from '/static/format.js';
import { visible } from '/static/usage.js';

const NAMES_SHOWN = 6;
const RESPONSES = {
  log: ['UNKNOWN', 'only recorded'],
  alert: ['DEGRADED', 'told to people'],
  step_up: ['DEGRADED', 'has to ask for each secret anew'],
  rotate: ['DEGRADED', 'what it has read is rotated'],
  quarantine: ['DOWN', 'cut off, and what it has read is rotated'],
};
const OUTCOMES = { rotated: ['UP', 'Rotated'], aborted: ['DOWN', 'Failed; the one before is as it was'], rolled_back: ['MAINTENANCE', 'Rolled back'] };

export function renderStory({ anomalies, quarantined, rotations }, page) {
  byId('quarantined-section').hidden = !quarantined.length;
  sync(byId('quarantined'), quarantined, (one) => one.client, (one) => createQuarantined(one, page), (node, one) => updateQuarantined(node, one, page));
  show('anomalies', anomalies.map(anomalyLine), 'Nothing has looked odd.');
  show('rotations', rotations.map(rotationLine), 'Nothing has been rotated yet.');
}

function show(id, lines, empty) {
  if (lines.length) sync(byId(id), lines, (line) => line.key, createEntry, updateEntry);
  else showEmpty(byId(id), empty);
}

function anomalyLine({ at, client, names, signals, score, response, why }) {
  const [state, done] = RESPONSES[response] ?? ['UNKNOWN', visible(response)];
  const rest = names.length - NAMES_SHOWN;
  const what = `${names.slice(0, NAMES_SHOWN).map(visible).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const seen = signals.map((signal) => visible(signal).replaceAll('_', ' ')).join(', ');
  return { key: `${at} ${client} ${signals}`, state, name: visible(client), chip: `${Math.round(score)} of 100`, at, why: visible(why), more: [seen, what, done].filter(Boolean).join(' · ') };
}

function rotationLine({ rotation_id: id, name, outcome, reason, ended_at: at, duration_s: seconds, cut }) {
  const [state, done] = OUTCOMES[outcome] ?? ['UNKNOWN', visible(outcome)];
  const cutOff = cut.length ? `cut off: ${cut.slice(0, NAMES_SHOWN).map(visible).join(', ')}${cut.length > NAMES_SHOWN ? ` and ${cut.length - NAMES_SHOWN} more` : ''}` : '';
  return { key: id, state, name: visible(name), at, why: cutOff, isBad: Boolean(cutOff), more: [done, visible(reason), duration(seconds)].join(' · ') };
}

function createEntry() {
  return el('li', 'entry', mark('UNKNOWN'), el('h3', 'name'), el('span', 'chip'), el('time', 'ago'), el('p', 'why'), el('p', 'muted'));
}

function updateEntry(node, { state, name, chip = '', at, why, isBad, more }) {
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name'), name);
  setText(node.querySelector('.chip'), chip);
  node.querySelector('.chip').hidden = !chip;
  setTime(node.querySelector('time'), at, ago);
  setText(node.querySelector('.why'), why);
  setAttribute(node.querySelector('.why'), 'data-bad', isBad ? '' : null);
  setText(node.lastChild, more);
}

// Clients that are cut off ---------------------------------------------------------------------

function createQuarantined({ client }, page) {
  const node = el('li', 'entry cut', mark('DOWN'), el('h3', 'name'), el('time', 'ago'), el('p', 'why'), el('div', 'actions buttons'), createBox());
  node.dataset.client = client;
  node.dataset.state = 'DOWN';
  node.querySelector('.buttons').append(createButton('Release…', 'release', (button) => askToRelease(node, page, button)));
  return node;
}

function updateQuarantined(node, { client, why, at }, page) {
  setText(node.querySelector('.name'), visible(client));
  setTime(node.querySelector('time'), at, ago);
  setText(node.querySelector('.why'), visible(why));
  updateRelease(node, page);
}

function updateRelease(node, page) {
  const [box, button] = [node.querySelector('.steering'), node.querySelector('.release')];
  button.hidden = !page.mayDecide;
  button.disabled = isAsking(box);
  setAttribute(button, 'aria-label', `Release: ${visible(node.dataset.client)}`);
  showBox(box);
}

function askToRelease(node, page, opener) {
  const { client } = node.dataset;
  openForm(node.querySelector('.steering'), {
    fields: [],
    note: el('p', 'warning', 'It gets its secrets again. Do so when you know why it read them.'),
    label: 'Release it',
    style: 'commit',
    work: () => send(`/api/secrets/clients/${encodeURIComponent(client)}/release`, { who: 'dashboard' }).then(() => ['Released.']).finally(page.onDecided),
    show: () => updateRelease(node, page),
  }, opener);
}
