// What the processes say of their guards, put together by name. Pure functions.

import { plural } from '/static/format.js';
import { visible } from '/static/usage.js';

const MODES = {
  forced_open: ['DOWN', 'Forced open'],
  disabled: ['MAINTENANCE', 'Disabled'],
  metrics_only: ['MAINTENANCE', 'Metrics only'],
};
const STATES = {
  open: ['DOWN', 'Open'],
  half_open: ['DEGRADED', 'Half-open'],
  closed: ['UP', 'Closed'],
  '': ['STOPPED', 'No breaker'],
};
const WORST_FIRST = ['DOWN', 'DEGRADED', 'MAINTENANCE', 'UP', 'STOPPED'];
const NAMES_TOLD = 2;

export function lookOf(row) {
  return MODES[row.mode] ?? STATES[row.state] ?? ['UNKNOWN', row.state];
}

export function groupsOf(rows) {
  const byName = new Map();
  for (const row of rows) byName.set(row.guard, [...(byName.get(row.guard) ?? []), row]);
  return [...byName].map(([guard, found]) => groupOf(guard, found)).sort((a, b) => rank(a) - rank(b) || a.guard.localeCompare(b.guard));
}

function groupOf(guard, rows) {
  const worst = [...rows].sort((a, b) => rankOf(lookOf(a)[0]) - rankOf(lookOf(b)[0]))[0];
  const [state, word] = lookOf(worst);
  const alike = rows.filter((row) => lookOf(row)[1] === word);
  const failed = rows.filter((row) => row.last_failed_at).sort((a, b) => Date.parse(b.last_failed_at) - Date.parse(a.last_failed_at));
  const calls = sum(rows, 'calls');
  return {
    guard,
    rows,
    state,
    word: alike.length === rows.length ? word : `${word} in ${alike.length} of ${rows.length}`,
    ends: worst.ends_at,
    isProbed: worst.mode === 'automatic',
    reason: worst.reason,
    calls,
    failures: sum(rows, 'failures'),
    rejected: sum(rows, 'rejected'),
    retries: sum(rows, 'retries'),
    opened: sum(rows, 'opened'),
    success: calls ? 1 - sum(rows, 'failures') / calls : null,
    lastFailure: failed[0]?.last_failure ?? '',
    lastFailedAt: failed[0]?.last_failed_at ?? null,
    policy: worst.policy,
    shared: worst.shared,
    hasBreaker: rows.some((row) => row.state !== ''),
  };
}

function rank(group) {
  return rankOf(group.state);
}

function rankOf(state) {
  return WORST_FIRST.indexOf(state) >>> 0;
}

function sum(rows, name) {
  return rows.reduce((total, row) => total + row[name], 0);
}

export function verdictOf(groups) {
  const of = (state) => groups.filter((group) => group.state === state);
  const breakers = groups.filter((group) => group.hasBreaker);
  if (!groups.length) return ['UNKNOWN', 'No guard is known yet'];
  if (of('DOWN').length) return ['DOWN', told(of('DOWN'), 'is open', 'are open')];
  if (of('DEGRADED').length) return ['DEGRADED', told(of('DEGRADED'), 'probes', 'probe')];
  if (of('MAINTENANCE').length) return ['MAINTENANCE', told(of('MAINTENANCE'), 'is taken out by hand', 'are taken out by hand')];
  if (!breakers.length) return ['UP', `${plural(groups.length, 'guard')} without a breaker`];
  return ['UP', breakers.length === 1 ? 'The breaker is closed' : `All ${breakers.length} breakers are closed`];
}

function told(groups, one, many) {
  const names = groups.slice(0, NAMES_TOLD).map((group) => visible(group.guard));
  const rest = groups.length - names.length;
  return `${plural(groups.length, 'breaker')} ${groups.length === 1 ? one : many}: ${names.join(', ')}${rest ? ` and ${rest} more` : ''}`;
}
