// What may break and where: services in a matrix with a mark where the two meet, the rest in a list beside it.

import { byId, el, mark, setAttribute, setMark, setText, sync } from '/static/dom.js';
import { LEGEND, labelOf, stateOf } from '/static/drill_words.js';
import { visible } from '/static/usage.js';

const FAINT = 0.3;
const SERVICE = 'service/';

export function renderMatrix(cells, pick) {
  byId('matrix-section').hidden = !cells.length;
  renderServices(cells.filter((cell) => cell.target.startsWith(SERVICE)), pick);
  sync(byId('others'), cells.filter((cell) => !cell.target.startsWith(SERVICE)), (cell) => cell.cell, (cell) => createOther(cell, pick), updateOther);
  sync(byId('legend'), LEGEND, ([, word]) => word, createSign, () => {});
}

function renderServices(cells, pick) {
  const scenarios = [...new Set(cells.map((cell) => cell.scenario))];
  const texts = new Map(cells.map((cell) => [cell.scenario, cell.text]));
  const targets = [...new Set(cells.map((cell) => cell.target))].sort();
  const places = new Map(cells.map((cell) => [cell.cell, cell]));
  byId('services').hidden = !cells.length;
  sync(byId('scenarios'), ['heads'], String, createRow, (row) => {
    sync(row, ['', ...scenarios], String, createHead, (head, name) => updateHead(head, name, texts.get(name)));
  });
  sync(byId('matrix'), targets, String, createRow, (row, target) => {
    const spots = scenarios.map((name) => ({ name, cell: places.get(`${name}:${target}`) }));
    sync(row, [{ name: '', target }, ...spots], (spot) => `${spot.name} ${Boolean(spot.cell)}`, (spot) => createSpot(spot, pick), updateSpot);
  });
}

function createRow() {
  return el('tr');
}

function createHead(name) {
  const head = el(name ? 'th' : 'td', '', el('span', '', visible(name).replaceAll('_', ' ')));
  if (name) head.setAttribute('scope', 'col');
  return head;
}

function updateHead(head, name, text) {
  if (name) setAttribute(head, 'title', visible(text) || null);
}

function createSpot({ name, target, cell }, pick) {
  if (!name) return createTarget(target);
  const box = el('td');
  if (cell) {
    const button = el('button', 'spot', mark('UNKNOWN'));
    button.type = 'button';
    button.addEventListener('click', () => pick(box.cellId));
    box.append(button);
  }
  return box;
}

function createTarget(target) {
  const head = el('th', '', el('span', '', visible(target.slice(SERVICE.length))));
  head.setAttribute('scope', 'row');
  head.title = visible(target);
  return head;
}

function updateSpot(box, { cell }) {
  if (!cell) return;
  const button = box.firstChild;
  const label = labelOf(cell, Date.now());
  box.cellId = cell.cell;
  showState(button, cell);
  setAttribute(button, 'aria-label', label);
  setAttribute(button, 'title', label);
}

function createOther(cell, pick) {
  const button = el('button', 'other', mark('UNKNOWN'), el('span', 'name', el('b', '', visible(cell.scenario).replaceAll('_', ' ')), ' ', el('span', '', visible(cell.target))));
  button.type = 'button';
  button.addEventListener('click', () => pick(cell.cell));
  return el('li', '', button);
}

function updateOther(node, cell) {
  showState(node.firstChild, cell);
  setAttribute(node.firstChild, 'title', labelOf(cell, Date.now()));
}

function showState(button, cell) {
  const state = stateOf(cell);
  setAttribute(button, 'data-state', state);
  setMark(button.querySelector('use'), state);
  button.firstChild.style.opacity = state === 'UP' ? String(FAINT + (1 - FAINT) * cell.worth) : '';
}

function createSign([state, word, opacity]) {
  const sign = el('li', '', mark(state), el('span', '', word));
  sign.dataset.state = state;
  if (opacity) sign.firstChild.style.opacity = String(opacity);
  setText(sign.lastChild, word);
  return sign;
}
