// What was verified, what was found and mended, and the second store.

import { byId, el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago, bytes, duration, plural, span } from '/static/format.js';
import { visible } from '/static/usage.js';

const TROUBLES = {
  missing: ['UNKNOWN', 'There is no store yet'],
  key: ['DOWN', 'The store does not open with this key'],
  damaged: ['DOWN', 'The store is damaged'],
  unreachable: ['DOWN', 'The store cannot be reached'],
  slow: ['UNKNOWN', 'The store is being read'],
};

// The worst first: its state, what it is, and a command that helps.
export function verdictOf({ trouble, health, replica, totals }) {
  const open = health.flaws.filter((flaw) => !flaw.mended_at).length;
  if (trouble) return TROUBLES[trouble.kind] ?? ['DOWN', 'The store cannot be read'];
  if (health.lost) return ['DOWN', `${plural(health.lost.paths, 'path')} cannot be restored any more`];
  if (open) return ['DOWN', `${open === 1 ? '1 damage is' : `${open} damages are`} not mended`, 'resile repair'];
  if (health.failed.length) return ['DEGRADED', `The last snapshot of ${visible(health.failed[0].source)} failed`];
  if (replica?.trouble) return ['DEGRADED', 'The second store cannot be reached', 'resile replicate'];
  if (!totals.snapshots) return ['UNKNOWN', 'No snapshot has been taken yet', 'resile snapshot DIR'];
  return health.verified ? ['UP', 'Everything is kept, and sound'] : ['UP', 'Everything is kept', 'resile verify --data'];
}

export function renderHealth({ health, replica }) {
  sync(byId('health'), [verification(health), ...second(replica), ...lost(health), ...health.failed.map(failure)], (line) => line.key, createLine, updateLine);
  byId('flaws-section').hidden = !health.flaws.length;
  sync(byId('flaws'), health.flaws.map(flawLine), (line) => line.key, createLine, updateLine);
}

function verification({ verified, flaws }) {
  if (!verified) return { key: 'verified', state: 'UNKNOWN', name: 'Never verified', why: 'Every byte is read and compared with its hash by', command: 'resile verify --data' };
  const what = verified.is_full ? 'Every byte read' : 'Structure checked';
  const isOpen = flaws.some((flaw) => !flaw.mended_at);
  const found = verified.flaws ? `${plural(verified.flaws, 'flaw')}${isOpen ? '' : ', mended,'}` : 'no flaw';
  return { key: 'verified', state: verified.flaws && isOpen ? 'DOWN' : 'UP', name: what, at: verified.at, why: `${found} in ${plural(verified.files, 'file')}, ${bytes(verified.bytes)}, ${duration(verified.duration_s)}` };
}

function second(replica) {
  if (!replica) return [];
  const lag = replica.lag_s ? `${span(replica.lag_s)} behind` : 'in step';
  const state = replica.trouble ? 'DEGRADED' : replica.lag_s ? 'MAINTENANCE' : 'UP';
  const why = [visible(replica.place), visible(replica.trouble)].filter(Boolean).join(': ');
  return [{ key: 'replica', state, name: `Second store ${lag}`, at: replica.replicated_at, why }];
}

function lost({ lost: gone }) {
  return gone ? [{ key: 'lost', state: 'DOWN', name: `${plural(gone.paths, 'path')} lost`, at: gone.at, why: `the first: ${visible(gone.first)}` }] : [];
}

function failure({ source, at, reason }) {
  return { key: `failed ${source}`, state: 'DEGRADED', name: `Snapshot of ${visible(source)} failed`, at, why: visible(reason) };
}

function flawLine(flaw) {
  const took = typeof flaw.duration_s === 'number' ? ` in ${duration(flaw.duration_s)}` : '';
  const end = flaw.mended_at ? `mended${flaw.origin ? ` from ${visible(flaw.origin)}` : ''}${took}` : 'not mended';
  return { key: `${flaw.where} ${flaw.name}`, state: flaw.mended_at ? 'UP' : 'DOWN', name: visible(flaw.name), at: flaw.at, why: [visible(flaw.what), end].filter(Boolean).join(' · ') };
}

function createLine() {
  return el('li', 'told', mark('UNKNOWN'), el('h3', 'name'), el('time', 'ago'), el('p', 'muted'));
}

function updateLine(node, { state, name, at, why, command }) {
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name'), name);
  setTime(node.querySelector('time'), at, ago);
  if (command) node.lastChild.replaceChildren(`${why} `, el('code', '', command));
  else setText(node.lastChild, why);
}
