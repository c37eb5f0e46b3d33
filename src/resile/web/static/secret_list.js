// How secrets stand: their states, the worst first, and the verdict. Pure functions.

import { plural } from '/static/format.js';
import { heldBy, isHeld } from '/static/rotation.js';
import { visible } from '/static/usage.js';

const WORST_FIRST = ['DOWN', 'DEGRADED', 'MAINTENANCE', 'UNKNOWN', 'UP', 'STOPPED'];
const NAMES_TOLD = 2;

export const isBehind = (secret, holder) => holder.is_live && Boolean(secret.version) && holder.version !== secret.version;

export function lookOf(secret) {
  const { rotation, holders } = secret;
  if (rotation?.reason === 'compromise') return ['DOWN', isHeld(rotation) ? 'Compromised, waits' : 'Compromised'];
  if (rotation) return isHeld(rotation) ? ['DEGRADED', 'Rotation waits'] : ['MAINTENANCE', 'Rotating'];
  if (isOverdue(secret)) return ['DEGRADED', 'Overdue'];
  if (secret.is_canary) return ['STOPPED', 'Canary'];
  if (secret.is_made_when_read) return ['UP', 'Made when read'];
  if (!secret.version) return [isMissed(secret) ? 'DEGRADED' : 'UNKNOWN', 'Not written yet'];
  const behind = holders.filter((holder) => isBehind(secret, holder)).length;
  return behind ? ['DEGRADED', `${behind} of ${holders.length} behind`] : ['UP', 'Current'];
}

// A minute late is jitter.
export function isOverdue({ next_rotation_at: at }) {
  return Boolean(at) && Date.now() - Date.parse(at) > 60e3;
}

// Services wait for it, and nobody has put it there.
const isMissed = (secret) => !secret.version && !secret.is_made_when_read && !secret.is_canary && secret.services.length > 0;

export function sorted(secrets) {
  const rank = (secret) => WORST_FIRST.indexOf(lookOf(secret)[0]) >>> 0;
  return [...secrets].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

export function holdersOf(secrets) {
  const live = secrets.flatMap((secret) => secret.holders.filter((one) => one.is_live).map((one) => isBehind(secret, one)));
  return { of: live.length, current: live.filter((behind) => !behind).length };
}

export function nextOf(secrets) {
  const times = secrets.map((secret) => secret.next_rotation_at).filter((at) => at && Date.parse(at) > Date.now());
  return times.sort((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null;
}

// The daemon has not heard of its keeper yet.
export const isUnknown = ({ kind, is_well: isWell }) => !kind && !isWell;

export function verdictOf({ provider, secrets, quarantined, quarantined_more: more = 0 }) {
  const rotating = secrets.filter((secret) => secret.rotation);
  const known = rotating.filter((secret) => secret.rotation.reason === 'compromise');
  const held = rotating.filter((secret) => isHeld(secret.rotation));
  const missed = secrets.filter((secret) => !secret.rotation && isMissed(secret));
  const overdue = secrets.filter((secret) => !secret.rotation && isOverdue(secret));
  if (quarantined.length) return ['DOWN', `${plural(quarantined.length + more, 'client')} ${quarantined.length + more === 1 ? 'is' : 'are'} cut off: ${told(quarantined.map((one) => one.client))}`];
  if (known.length) return ['DOWN', `Somebody else has ${told(names(known))}: ${known.length === 1 ? 'it is' : 'they are'} being replaced`];
  if (isUnknown(provider)) return ['UNKNOWN', 'The secrets are not known yet'];
  if (!provider.is_well) return ['DEGRADED', `${visible(provider.kind)} gives no secrets`];
  if (held.length === 1) return ['DEGRADED', `The rotation of ${visible(held[0].name)} waits`];
  if (held.length) return ['DEGRADED', `${held.length} rotations wait: ${told(names(held))}`];
  if (overdue.length) return ['DEGRADED', overdue.length === 1 ? `The rotation of ${visible(overdue[0].name)} is overdue` : `${overdue.length} rotations are overdue: ${told(names(overdue))}`];
  if (missed.length) return ['DEGRADED', `${told(names(missed))} ${missed.length === 1 ? 'has' : 'have'} no value yet`];
  if (!secrets.length) return ['UNKNOWN', 'No secret is kept yet'];
  if (rotating.length) return ['MAINTENANCE', `${told(names(rotating))} ${rotating.length === 1 ? 'is' : 'are'} being rotated`];
  return ['UP', secrets.length === 1 ? 'The secret is in order' : `All ${secrets.length} secrets are in order`];
}

export function subOf({ provider, secrets }) {
  const held = secrets.find((secret) => secret.rotation && isHeld(secret.rotation));
  if (!provider.is_well) return 'What is in memory is served meanwhile.';
  if (held) return `${heldBy(held.rotation)}. The old one stays valid.`;
  return 'Values are shown nowhere here.';
}

const names = (secrets) => secrets.map((secret) => secret.name);

function told(all) {
  const rest = all.length - NAMES_TOLD;
  return `${all.slice(0, NAMES_TOLD).map(visible).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
