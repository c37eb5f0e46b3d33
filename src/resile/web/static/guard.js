// One guard: its line, what it has come to, and its processes where there are several.

import { el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago, count, plural, share, span } from '/static/format.js';
import { lookOf } from '/static/guards.js';
import { createButtons, createSteering, updateSteering } from '/static/steer.js';
import { setWords, visible } from '/static/usage.js';

// `page` is what the page knows and does: { mayDecide, onDecided }.
export function createGuard(group, page) {
  const state = el('p', 'look', el('span', 'word'), el('time', 'left muted'));
  const last = el('p', 'last', el('time', 'ago'), el('span', 'what'));
  const buttons = el('div', 'actions buttons');
  const row = el('div', 'row', mark('UNKNOWN'), el('h3', 'name'), state, el('p', 'number failures'), el('p', 'number success'), last, buttons);
  const more = el('details', 'more', el('summary'), el('ul', 'processes'));
  const node = el('li', 'guard', row, el('p', 'reason'), el('div', 'facts'), more);
  node.dataset.guard = group.guard;
  buttons.append(...createButtons(node, page));
  node.append(createSteering());
  return node;
}

export function updateGuard(node, group, page) {
  node.group = group;
  setAttribute(node, 'data-state', group.state);
  setMark(node.querySelector('use'), group.state);
  setText(node.querySelector('.name'), visible(group.guard));
  setText(node.querySelector('.word'), group.word);
  setTime(node.querySelector('.left'), group.ends, (iso, now) => leftOf(group, iso, now));
  showNumber(node.querySelector('.failures'), count(group.failures), 'failures');
  setAttribute(node.querySelector('.failures'), 'data-some', group.failures ? '' : null);
  showNumber(node.querySelector('.success'), share(group.success), 'success');
  setTime(node.querySelector('.last time'), group.lastFailedAt, ago);
  const what = node.querySelector('.what');
  setText(what, visible(group.lastFailure));
  setAttribute(what, 'title', visible(group.lastFailure) || null);
  setWords(node.querySelector('.reason'), group.reason);
  sync(node.querySelector('.facts'), factsOf(group), ([label]) => label, ([label]) => el('span', '', `${label} `, el('b')), (fact, [, text]) => {
    setText(fact.lastChild, text);
    setAttribute(fact, 'title', text);
  });
  showProcesses(node, group);
  updateSteering(node, page);
}

function leftOf(group, iso, now) {
  const seconds = Math.max(0, (Date.parse(iso) - now) / 1000);
  return `${group.isProbed ? 'probes in' : 'for'} ${span(seconds)}`;
}

// The label is for whoever hears the page, and for a screen that is too narrow for heads.
function showNumber(node, text, label) {
  if (!node.firstChild) node.append(el('b'), el('span', 'label', ` ${label}`));
  setText(node.firstChild, text);
}

function factsOf(group) {
  const [row] = group.rows;
  const facts = group.rows.length === 1 ? [['in', nameOf(row)]] : [];
  facts.push(['calls', count(group.calls)]);
  for (const name of ['rejected', 'retries', 'opened']) if (group[name]) facts.push([name, count(group[name])]);
  if (group.shared) facts.push(['shared', visible(group.shared)]);
  if (group.policy) facts.push(['is', visible(group.policy)]);
  return facts;
}

function nameOf(row) {
  return visible(`${row.service || row.program} (${row.pid})`);
}

function showProcesses(node, { rows }) {
  const more = node.querySelector('.more');
  more.hidden = rows.length === 1;
  setText(more.firstChild, plural(rows.length, 'process').replace('processs', 'processes'));
  sync(more.lastChild, more.hidden ? [] : rows, (row) => `${row.pid} ${row.connected_at}`, createProcess, updateProcess);
}

function createProcess() {
  return el('li', '', mark('UNKNOWN'), el('b', 'who'), el('span', 'word'), el('span', 'muted counts'));
}

function updateProcess(node, row) {
  const [state, word] = lookOf(row);
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.who'), nameOf(row));
  setText(node.querySelector('.word'), word);
  setText(node.querySelector('.counts'), `${plural(row.calls, 'call')}, ${plural(row.failures, 'failure')}, ${count(row.rejected)} rejected`);
}
