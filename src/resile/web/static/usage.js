// What a run uses, as small bars against what it may use.

import { el, setAttribute, setText, sync } from '/static/dom.js';
import { bytes, count, duration, percent } from '/static/format.js';

const CLOSE = 0.8;
const VERY_CLOSE = 0.95;

export function renderUsage(box, run, seconds) {
  const meters = metersOf(run, seconds).filter((meter) => typeof meter.used === 'number');
  sync(box, meters, (meter) => meter.label, createMeter, updateMeter);
}

function metersOf(run, seconds) {
  const { usage, limits } = run;
  const isNow = typeof usage.memory_bytes === 'number';
  return [
    { label: 'time', used: seconds, most: limits?.time_s, write: duration },
    ...cpuOf(usage, limits),
    { label: isNow ? 'memory' : 'most memory', used: usage.memory_bytes ?? usage.memory_max_bytes, most: limits?.memory, write: bytes },
    { label: 'processes', used: usage.processes_max, most: limits?.processes, write: count },
    { label: 'disk', used: usage.disk_bytes, most: limits?.disk_bytes, write: bytes },
    { label: 'output', used: usage.output_bytes, most: limits?.output_bytes, write: bytes },
  ];
}

// Now where it runs; else the mean over its time, and its sum where that is what is limited.
function cpuOf({ cpu_share: share, cpu_s: spent, time_s: time }, limits) {
  const sum = { label: 'cpu time', used: spent, most: limits?.cpu_time_s, write: duration };
  if (typeof share === 'number') return [{ label: 'cpu', used: share, most: limits?.cpu_share, write: percent }];
  if (sum.most || !limits?.cpu_share || !time || typeof spent !== 'number') return [sum];
  return [{ label: 'mean cpu', used: spent / time, most: limits.cpu_share, write: percent }];
}

function createMeter(meter) {
  const bar = el('div', 'bar', el('i'));
  bar.setAttribute('role', 'meter');
  bar.setAttribute('aria-label', meter.label);
  bar.setAttribute('aria-valuemin', '0');
  bar.setAttribute('aria-valuemax', '100');
  return el('li', 'meter', el('span', 'label', meter.label), el('span', 'value'), bar);
}

function updateMeter(node, { used, most, write }) {
  const part = most ? Math.min(1, used / most) : 0;
  const value = node.querySelector('.value');
  value.replaceChildren(el('b', '', write(used)), most ? ` of ${write(most)}` : '');
  const bar = node.querySelector('.bar');
  bar.hidden = !most;
  setAttribute(bar, 'data-close', part >= VERY_CLOSE ? 'very' : part >= CLOSE ? 'yes' : null);
  setAttribute(bar, 'aria-valuenow', String(Math.round(part * 100)));
  bar.firstChild.style.transform = `scaleX(${part})`;
}

export function setWords(node, text) {
  setText(node, visible(text));
  node.hidden = !text;
}

// Characters that are not seen, or turn a line around, would let a run dress up what it changed.
export function visible(text) {
  return String(text ?? '').replace(/[\p{Cc}\p{Cf}\p{Co}\u2028\u2029]/gu, (char) =>
    char === '\t' ? char : char === '\n' ? '⏎' : `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
}
