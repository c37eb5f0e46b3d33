// A scenario and what it hits, as a row that opens: its figures against the target, and what happened.

import { el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago } from '/static/format.js';
import { ask } from '/static/live.js';
import { agedAt, figuresOf, isKnown, loadOf, stateOf, wordOf } from '/static/drill_words.js';
import { setWords, visible } from '/static/usage.js';

const KEPT_MAX = 8;
const ROOM = 1.04;
const stories = new Map();

export function createCell() {
  const summary = el('summary', '', mark('UNKNOWN'), el('h3', 'name', el('b'), ' ', el('span')), el('span', 'word'), el('time', 'ago'), el('p', 'measured'));
  const body = el('div', 'body', el('p', 'what'), el('p', 'message'), createBar(), el('p', 'load muted'), el('ol', 'timeline'));
  const node = el('li', 'cell', el('details', '', summary, body));
  node.firstChild.addEventListener('toggle', () => showStory(node));
  return node;
}

export function updateCell(node, cell) {
  const state = stateOf(cell);
  node.cell = cell;
  setAttribute(node, 'data-state', state);
  setAttribute(node, 'data-cell', cell.cell);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name b'), visible(cell.scenario).replaceAll('_', ' '));
  setText(node.querySelector('.name span'), visible(cell.target));
  setText(node.querySelector('.word'), wordOf(cell));
  setTime(node.querySelector('time'), agedAt(cell), ago);
  sync(node.querySelector('.measured'), figuresOf(cell), ([name]) => name, createFigure, (figure, [, value]) => setText(figure.lastChild, value));
  updateBody(node.querySelector('.body'), cell);
  showStory(node);
}

function createFigure([name]) {
  return el('span', '', `${name} `, el('b'));
}

function updateBody(body, cell) {
  const { text, last } = cell;
  setWords(body.querySelector('.what'), text);
  setWords(body.querySelector('.message'), last?.why);
  setWords(body.querySelector('.load'), loadOf(cell));
  updateBar(body.querySelector('.course-bar'), last);
}

function createBar() {
  const bar = el('div', 'course-bar', el('i', 'unnoticed'), el('i', 'mending'), el('i', 'target'));
  bar.setAttribute('role', 'img');
  bar.setAttribute('aria-label', 'Until it was noticed, until it was mended, and the target');
  return bar;
}

function updateBar(bar, last) {
  const most = Math.max(last?.recovered_s ?? -1, last?.detected_s ?? -1);
  bar.hidden = !(most >= 0 && last.recovery_s_max > 0);
  if (bar.hidden) return;
  const whole = Math.max(most, last.recovery_s_max) * ROOM;
  const end = (last.recovered_s ?? whole) / whole;
  const seen = isKnown(last.detected_s) ? Math.min(end, last.detected_s / whole) : end;
  const [unnoticed, mending, target] = bar.children;
  unnoticed.style.width = share(seen);
  mending.style.left = share(seen);
  mending.style.width = share(end - seen);
  target.style.left = share(last.recovery_s_max / whole);
}

function share(part) {
  return `${(100 * Math.max(0, part)).toFixed(2)}%`;
}

async function showStory(node) {
  const { cell } = node;
  if (!node.firstChild.open || !cell?.last) return;
  const list = node.querySelector('.timeline');
  const story = await storyOf(cell.last.drill_id, cell.cell);
  if (node.cell.last?.drill_id !== cell.last.drill_id) return;
  const from = Date.parse(story?.began_at ?? story?.timeline[0]?.at);
  const lines = (story?.timeline ?? []).map((line, index) => ({ ...line, key: index, after: (Date.parse(line.at) - from) / 1000 }));
  sync(list, lines, (line) => line.key, () => el('li', '', el('time'), el('p')), updateLine);
  list.hidden = !lines.length;
}

function updateLine(node, { after, text }) {
  setText(node.firstChild, `${after < 0 ? '−' : '+'}${Math.abs(after).toFixed(2)} s`);
  setText(node.lastChild, visible(text));
}

// What a drill found about a cell does not change any more; a few drills are kept.
async function storyOf(drillId, cellId) {
  const known = stories.get(drillId)?.get(cellId);
  if (known) return known;
  const found = await ask(`/api/drill/${encodeURIComponent(drillId)}`).catch(() => null);
  if (!found) return null;
  stories.delete(drillId);
  stories.set(drillId, new Map(found.results.map((result) => [result.cell, result])));
  if (stories.size > KEPT_MAX) stories.delete(stories.keys().next().value);
  return stories.get(drillId).get(cellId) ?? null;
}
