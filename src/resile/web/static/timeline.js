// Snapshots on a time line, one lane for each folder: the newest right, the bigger the more was new.

import { el, setAttribute, setText, sync } from '/static/dom.js';
import { bytes, moment, plural, span } from '/static/format.js';
import { addTooltip } from '/static/tooltip.js';
import { visible } from '/static/usage.js';

const LANES_MAX = 8;
const DOTS_MAX = 150;
const LEAST_S = 60;
const STEPS_S = [300, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400];
const STEPS_APART = 0.09;
const DOT_PX = 7;
const GROWTH_PX = 11;

export function renderTimeline(box, snapshots, onPick) {
  const lanes = lanesOf(snapshots);
  const oldestS = Math.max(LEAST_S * 10, ...lanes.flatMap(({ shown }) => shown.map(ageOf)));
  sync(box, [...lanes, { source: null, oldestS }], (lane) => (lane.source === null ? null : `/${lane.source}`),
    (lane) => (lane.source === null ? el('div', 'axis') : createLane(onPick)),
    (node, lane) => (lane.source === null ? updateAxis(node, oldestS) : updateLane(node, lane, oldestS)));
}

function lanesOf(snapshots) {
  const lanes = new Map();
  for (const one of snapshots) lanes.set(one.source, [...(lanes.get(one.source) ?? []), one]);
  return [...lanes].slice(0, LANES_MAX).map(([source, newest]) => ({ source, shown: newest.slice(0, DOTS_MAX).reverse() }));
}

function ageOf(one) {
  return Math.max(0, (Date.now() - Date.parse(one.started_at)) / 1000);
}

// Hours are as wide as weeks: what is kept thins out with age.
function placeOf(ageS, oldestS) {
  return 1 - Math.log1p(ageS / LEAST_S) / Math.log1p(oldestS / LEAST_S);
}

function createLane(onPick) {
  const track = el('div', 'track');
  track.tabIndex = 0;
  track.setAttribute('role', 'group');
  const node = el('div', 'lane', el('span', 'source'), track);
  addTooltip(track, (index) => describe(node.shown[index]));
  track.addEventListener('click', (event) => {
    const index = [...track.children].indexOf(event.target);
    if (index >= 0) onPick(node.shown[index].id);
  });
  track.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !node.shown[track.at]) return;
    event.preventDefault();
    onPick(node.shown[track.at].id);
  });
  return node;
}

function updateLane(node, { source, shown }, oldestS) {
  node.shown = shown;
  setText(node.firstChild, visible(source));
  setAttribute(node.firstChild, 'title', visible(source));
  setAttribute(node.lastChild, 'aria-label', `${visible(source)}: ${plural(shown.length, 'snapshot')}. Arrow keys tell each one, Enter opens it.`);
  sync(node.lastChild, shown, (one) => one.id, () => el('i'), (dot, one) => {
    dot.style.left = `${100 * placeOf(ageOf(one), oldestS)}%`;
    const size = DOT_PX + (one.new_bytes ? GROWTH_PX * growthOf(one.new_bytes) : 0);
    dot.style.setProperty('--size', `${size.toFixed(1)}px`);
    setAttribute(dot, 'data-kind', kindOf(one));
  });
}

// From a kilobyte to a gigabyte.
function growthOf(size) {
  return Math.min(1, Math.max(0.1, Math.log2(size / 1024) / 20));
}

function kindOf(one) {
  if (one.unread) return 'unread';
  if (one.is_safety) return 'safety';
  if (one.is_protected) return 'protected';
  return one.new_bytes ? 'changed' : 'same';
}

export function describe(one) {
  const lines = [
    moment(one.started_at),
    `${plural(one.files, 'file')}, ${bytes(one.bytes)}`,
    one.new_bytes ? `${bytes(one.new_bytes)} new, ${bytes(one.stored_bytes)} stored` : 'nothing new',
    [...one.tags.map(visible), one.is_protected && 'protected'].filter(Boolean).join(', '),
    one.unread ? `${plural(one.unread, 'path')} not read` : '',
  ];
  return lines.filter(Boolean).join('\n');
}

function updateAxis(node, oldestS) {
  const steps = [];
  for (const seconds of STEPS_S) {
    const place = placeOf(seconds, oldestS);
    const last = steps.at(-1)?.place ?? 1;
    if (place > 0.02 && last - place >= STEPS_APART) steps.push({ place, text: span(seconds) });
  }
  sync(node, [{ place: 1, text: 'now' }, ...steps], ({ text }) => text, ({ text }) => el('span', '', text), (tick, { place }) => {
    tick.style.left = `${100 * place}%`;
  });
}
