// The last drills: how each went, and what got worse or better.

import { byId, el, mark, setAttribute, setMark, setText, setTime, showEmpty, sync } from '/static/dom.js';
import { ago, duration } from '/static/format.js';
import { doneOf } from '/static/drill_words.js';
import { setWords, visible } from '/static/usage.js';

const CHANGES_MAX = 20;

export function renderDrills(drills) {
  if (drills.length) sync(byId('drills'), drills, (drill) => drill.id, createDrill, updateDrill);
  else showEmpty(byId('drills'), 'There was none. This begins one:', 'resile drill');
}

function createDrill() {
  return el('li', 'drill', mark('UNKNOWN'), el('p', 'name', el('b', 'points'), ' ', el('span', 'counts')), el('time', 'ago'), el('p', 'muted by'), el('p', 'message'), el('ul', 'changed'));
}

function updateDrill(node, drill) {
  const state = stateOf(drill);
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.points'), drill.score === null ? '' : `${drill.score}`);
  setText(node.querySelector('.counts'), countsOf(drill));
  setTime(node.querySelector('time'), drill.ended_at ?? drill.began_at, ago);
  setText(node.querySelector('.by'), `by ${visible(drill.who) || 'somebody'}${tookOf(drill)}`);
  setWords(node.querySelector('.message'), drill.why);
  const changes = [...drill.worse.map((one) => ({ ...one, word: 'worse', state: 'DOWN' })), ...drill.better.map((one) => ({ ...one, word: 'better', state: 'UP' }))];
  sync(node.querySelector('.changed'), changes.slice(0, CHANGES_MAX), (one) => one.cell, createChange, updateChange);
}

// As the cells are, and with them what is said of all: what is merely slow is not down.
function stateOf({ is_running: isRunning, ended_at: endedAt, failed, missed, worse, passed, why }) {
  if (isRunning) return 'MAINTENANCE';
  if (missed) return 'DOWN';
  if (failed || worse.length || !endedAt || why) return 'DEGRADED';
  return passed ? 'UP' : 'UNKNOWN';
}

function countsOf(drill) {
  const { passed, failed, skipped, planned } = drill;
  const parts = [`${passed} passed`, ...(failed ? [`${failed} did not`] : []), ...(skipped ? [`${skipped} skipped`] : [])];
  const left = planned - doneOf(drill);
  if (left > 0) parts.push(`${left} ${drill.is_running ? 'to come' : 'not tried'}`);
  return parts.join(', ');
}

function tookOf({ began_at: beganAt, ended_at: endedAt, is_running: isRunning }) {
  if (isRunning) return ', goes on';
  return endedAt ? `, took ${duration((Date.parse(endedAt) - Date.parse(beganAt)) / 1000)}` : ', was cut off';
}

function createChange() {
  return el('li', '', el('b', 'word'), ' ', el('span', 'name'), el('span', 'muted why-changed'));
}

function updateChange(node, { cell, why, word, state }) {
  setAttribute(node, 'data-state', state);
  setText(node.querySelector('.word'), word);
  const place = cell.indexOf(':');
  setText(node.querySelector('.name'), `${visible(cell.slice(0, place)).replaceAll('_', ' ')} ${visible(cell.slice(place + 1))}`);
  setText(node.querySelector('.why-changed'), visible(why));
}
