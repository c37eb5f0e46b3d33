// What a cell of the matrix, and all of them together, are: a state, and words for it. Pure functions.

import { ago, count, duration, plural, span } from '/static/format.js';
import { visible } from '/static/usage.js';

const STATES = { slow: 'DEGRADED', lost: 'DOWN', unseen: 'DOWN', not_mended: 'DOWN' };
const FADED = 0.5;

export const LEGEND = [
  ['UP', 'proven'],
  ['UP', 'fading', 0.45],
  ['DEGRADED', 'slow'],
  ['DOWN', 'did not pass'],
  ['STOPPED', 'skipped'],
  ['UNKNOWN', 'never tried, or too long ago'],
];

// A proof that still counts is what is shown, also if it could not be tried again.
export function stateOf({ worth, last }) {
  if (worth > 0) return 'UP';
  if (!last || last.verdict === 'passed') return 'UNKNOWN';
  return STATES[last.verdict] ?? 'STOPPED';
}

export function wordOf({ worth, last }) {
  if (!last) return 'never tried';
  if (worth > 0) return worth < FADED ? 'fading' : 'proven';
  return last.verdict === 'passed' ? 'too long ago' : visible(last.verdict).replaceAll('_', ' ');
}

// As old as the proof is where there is one, else as the last try.
export function agedAt({ worth, last, passed_at: passedAt }) {
  return worth > 0 ? passedAt : (last?.at ?? null);
}

export function labelOf(cell, now) {
  const at = agedAt(cell);
  return `${nameOf(cell)}: ${wordOf(cell)}${at ? `, ${ago(at, now)}` : ''}`;
}

export function nameOf({ scenario, target }) {
  return `${visible(scenario).replaceAll('_', ' ')} ${visible(target)}`;
}

export function figuresOf({ last }) {
  if (!last) return [];
  const figures = [];
  if (isKnown(last.detected_s)) figures.push(['detected', duration(last.detected_s)]);
  if (isKnown(last.recovered_s)) figures.push(['recovered', `${duration(last.recovered_s)}${isKnown(last.recovery_s_max) ? ` of ${duration(last.recovery_s_max)}` : ''}`]);
  if (last.lost) figures.push(['lost', count(last.lost)]);
  return figures;
}

export function loadOf({ last }) {
  const writes = isKnown(last?.acked) && isKnown(last.lost) ? `${plural(last.acked, 'write')} acknowledged, ${count(last.lost)} lost` : '';
  const requests = isKnown(last?.failed) ? `${plural(last.failed, 'request')} failed meanwhile` : '';
  return [writes, requests].filter(Boolean).join('; ');
}

export function isKnown(number) {
  return typeof number === 'number';
}

// The worst first: its state, what it is, and a command that helps.
export function verdictOf({ cells, drills, score }) {
  const running = drills.find((drill) => drill.is_running);
  const failed = cells.filter((cell) => ['DOWN', 'DEGRADED'].includes(stateOf(cell)));
  const worse = drills[0]?.worse.length ?? 0;
  if (running) return ['MAINTENANCE', `A drill goes on: ${doneOf(running)} of ${running.planned}`];
  if (!cells.some((cell) => cell.last)) return ['UNKNOWN', 'Nothing has been tried yet', 'resile drill'];
  if (failed.length) return [failed.some((cell) => stateOf(cell) === 'DOWN') ? 'DOWN' : 'DEGRADED', `${plural(failed.length, 'scenario')} did not pass`];
  if (worse) return ['DEGRADED', `${plural(worse, 'scenario')} got worse`];
  if (score.proven === score.cells) return ['UP', 'Everything that is declared mends itself'];
  return [score.points >= 60 ? 'UP' : 'DEGRADED', `${score.proven} of ${plural(score.cells, 'scenario')} are proven`];
}

export function subOf({ drills, score }) {
  const running = drills.find((drill) => drill.is_running);
  if (running) return `by ${visible(running.who) || 'somebody'}; services break on purpose until it is over`;
  return `A proof counts in full for ${span(score.fresh_s)}, half ${span(score.half_life_s)} later, and not at all after ${span(score.window_s)}`;
}

export function doneOf({ passed, failed, skipped }) {
  return passed + failed + skipped;
}
