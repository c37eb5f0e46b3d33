// What the storekeeper does now: since when, how far it is, and what comes next.

import { byId, el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago, bytes, plural, span } from '/static/format.js';
import { visible } from '/static/usage.js';

const DOES = {
  snapshot: (name) => `Taking a snapshot of ${name}`,
  replicate: () => 'Bringing the second store in step',
  collect: () => 'Freeing what no snapshot needs',
  scrub: (name) => `Reading the ${name === 'replica' ? 'second store' : 'store'}`,
  live: (name) => `Comparing ${name} with its snapshot`,
};
const COMES = { snapshot: (name) => `snapshot of ${name}`, replicate: () => 'second store', collect: () => 'freeing space' };
const LASTING = new Set(['scrub', 'live']);

export function renderKeeper(keeper) {
  byId('keeper-section').hidden = !keeper;
  if (!keeper) return;
  const lines = keeper.jobs.map(lineOf);
  sync(byId('keeper'), lines.length ? lines : [{ key: 'idle', state: 'STOPPED', name: 'Waiting', why: 'nothing is due' }], (line) => line.key, createLine, updateLine);
  setTime(byId('keeper-next'), keeper.next?.at, (iso, now) => nextText(keeper.next, (Date.parse(iso) - now) / 1000));
}

// Whether something goes on that is soon over.
export function isBusy(keeper) {
  return Boolean(keeper?.jobs.some((job) => !LASTING.has(job.kind)));
}

function nextText({ kind, name }, inS) {
  const what = COMES[kind]?.(visible(name)) ?? kind;
  return inS < 1 ? `next: ${what}` : `next: ${what} in ${span(inS)}`;
}

function lineOf({ kind, name, since, files, bytes: done, total_bytes: total }, index) {
  const what = DOES[kind]?.(visible(name)) ?? kind;
  const of = total ? ` of about ${bytes(Math.max(total, done))}` : '';
  const why = files || done ? `${plural(files, 'file')}, ${bytes(done)}${of}` : 'just begun';
  return { key: `${index} ${kind} ${name}`, state: LASTING.has(kind) ? 'RUNNING' : 'MAINTENANCE', name: what, at: since, why, ratio: total ? Math.min(1, done / total) : null };
}

function createLine() {
  return el('li', 'told', mark('RUNNING'), el('h3', 'name'), el('time', 'ago'), el('p', 'muted'), el('div', 'progress', el('i')));
}

function updateLine(node, { state, name, at, why, ratio }) {
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name'), name);
  setTime(node.querySelector('time'), at, (iso, now) => `since ${ago(iso, now).replace(/ ago$/, '')}`);
  setText(node.querySelector('p'), why);
  const bar = node.querySelector('.progress');
  bar.hidden = typeof ratio !== 'number';
  bar.firstChild.style.transform = `scaleX(${ratio ?? 0})`;
  if (typeof ratio === 'number') {
    setAttribute(bar, 'role', 'progressbar');
    setAttribute(bar, 'aria-label', name);
    setAttribute(bar, 'aria-valuenow', String(Math.floor(ratio * 100)));
  }
}
