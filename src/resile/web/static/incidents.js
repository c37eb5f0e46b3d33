// Incidents: what is open now with its course against its objective, and what the last day resolved.

import { byId, el, setAttribute, setText, setTime, showEmpty, sync } from '/static/dom.js';
import { ago, clock, duration, moment, plural } from '/static/format.js';

const DAY_MS = 86400e3;
const BAD = /^(client\.quarantined|escape\.noticed|fault\.opened|fault\.escalated|incident\.(opened|raised|reopened)|guard\.lost|provider\.lost|trouble\.noticed)$/;
const GOOD = /^(client\.released|escape\.contained|fault\.closed|incident\.resolved|provider\.found|service\.ready|trouble\.ended)$/;
const ODD = /^(prediction\.made|rotation\.waits|secret\.anomaly)$/;
const WITHDRAWN = /^withdrawn:|\bwithdrawn after\b/;
const OURS = /^(action|plan)\./;

export function toneOf(kind, text = '') {
  if (BAD.test(kind) || (kind === 'process.exited' && /killed|exit code [^0]/.test(text))) return 'DOWN';
  if (kind === 'rotation.ended') return / aborted in /.test(text) ? 'DOWN' : 'UP';
  if (ODD.test(kind)) return 'DEGRADED';
  if (kind.endsWith('.changed')) return /→ (\w+)/.exec(text)?.[1] ?? 'UNKNOWN';
  if (GOOD.test(kind)) return WITHDRAWN.test(text) ? 'MAINTENANCE' : 'UP';
  return OURS.test(kind) ? 'MAINTENANCE' : 'UNKNOWN';
}

export function renderIncidents(incidents) {
  const shown = incidents.filter((incident) => !incident.absorbed_into);
  const open = shown.filter((incident) => incident.state !== 'resolved');
  const resolved = shown.filter((incident) => incident.state === 'resolved' && isRecent(incident));
  if (open.length) render(byId('open'), open);
  else showEmpty(byId('open'), resolved.length ? 'No open incident.' : 'No incident in the last 24 hours.');
  byId('resolved-box').hidden = !resolved.length;
  setText(byId('resolved-count'), String(resolved.length));
  render(byId('resolved'), resolved);
}

function isRecent(incident) {
  return Date.now() - Date.parse(incident.resolved_at ?? incident.began_at) < DAY_MS;
}

function render(list, incidents) {
  sync(list, incidents, (incident) => incident.id, createIncident, updateIncident);
}

function createIncident(incident) {
  const more = el('details', 'more', el('summary'), el('ol', 'timeline'));
  more.open = incident.state !== 'resolved';
  const bar = el('div', 'rto', el('i'));
  const node = el('li', 'incident',
    el('div', 'line top-line', el('span', 'chip'), el('h3')),
    el('p', 'course', el('span', 'took'), el('span', 'stands')),
    bar, el('ul', 'crashes'), more);
  node.dataset.incident = incident.id;
  return node;
}

function updateIncident(node, incident) {
  const chip = node.querySelector('.chip');
  setText(chip, incident.severity);
  setAttribute(chip, 'data-severity', incident.severity);
  setText(node.querySelector('h3'), incident.title);
  showCourse(node, incident);
  sync(node.querySelector('.crashes'), incident.crashes ?? [], (crash) => `${crash.service} ${crash.fingerprint}`,
    () => el('li', '', el('span'), el('code'), el('span')), updateCrash);
  setText(node.querySelector('summary'), `Timeline, ${plural(incident.timeline.length, 'step')}`);
  sync(node.querySelector('.timeline'), incident.timeline.map((step) => ({ ...step, began: incident.began_at })),
    (step) => `${step.seq} ${step.kind}`, createStep, updateStep);
}

// Equal crashes: how many there were, where, and the evidence of the last one.
function updateCrash(node, crash) {
  const place = crash.place ? ` in ${crash.place}` : '';
  const others = crash.count > 1 ? `, seen ${crash.count} times since ${moment(crash.first_at)}` : ', seen for the first time';
  setText(node.firstChild, 'Problem ');
  setText(node.children[1], crash.fingerprint);
  setText(node.lastChild, `${place}${others}`);
  setAttribute(node, 'title', [`${crash.service}: ${crash.text}`, crash.bundle].filter(Boolean).join('\n'));
}

function showCourse(node, incident) {
  const isOver = typeof incident.duration_s === 'number' && Boolean(incident.restored_at);
  const seconds = isOver ? incident.duration_s : (Date.now() - Date.parse(incident.began_at)) / 1000;
  const isLate = incident.is_within_rto === false || (!incident.is_withdrawn && seconds > incident.rto_s);
  const [done, goal, tone] = courseOf(incident, isOver, isLate);
  node.querySelector('.took').replaceChildren(done, el('b', tone, duration(seconds)), goal && ` ${goal} ${duration(incident.rto_s)}`);
  showStanding(node.querySelector('.stands'), incident);
  const bar = node.querySelector('.rto');
  bar.hidden = isOver;
  setAttribute(bar, 'data-late', isLate ? '' : null);
  bar.firstChild.style.transform = `scaleX(${Math.min(1, seconds / incident.rto_s)})`;
}

function courseOf(incident, isOver, isLate) {
  if (!isOver) return ['For ', 'of', ''];
  const done = incident.is_withdrawn ? 'Withdrawn after ' : incident.is_security ? 'Contained in ' : 'Recovered in ';
  if (isLate) return [done, 'objective missed', 'missed'];
  return incident.is_withdrawn ? [done, '', ''] : [done, 'within', 'met'];
}

function showStanding(place, incident) {
  const by = incident.acknowledged_by ? ` by ${incident.acknowledged_by}` : '';
  const flapping = incident.flapping ? ', flapping' : '';
  if (incident.state === 'monitoring' && incident.is_security && !by) {
    if (!place.querySelector('code')) place.replaceChildren('waits for a person: ', el('code', '', `resile incidents ack ${incident.id}`));
    return;
  }
  if (incident.state !== 'resolved') {
    setText(place, `${incident.state}${by}${flapping}`);
    return;
  }
  if (place.firstElementChild?.tagName !== 'TIME') place.replaceChildren(el('time'));
  setTime(place.firstElementChild, incident.resolved_at ?? incident.began_at, ago);
}

function createStep() {
  return el('li', '', el('time'), el('p'));
}

function updateStep(node, step) {
  setAttribute(node, 'data-state', toneOf(step.kind, step.text));
  const time = node.firstChild;
  const seconds = (Date.parse(step.at) - Date.parse(step.began)) / 1000;
  setText(time, seconds < 0.0005 ? clock(step.at) : `+${duration(seconds)}`);
  setAttribute(time, 'datetime', step.at);
  setAttribute(time, 'title', `${clock(step.at)} · ${step.kind} · ${step.subject}`);
  setText(node.lastChild, step.text || `${step.kind} ${step.subject}`);
}
