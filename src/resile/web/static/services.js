// The services with their past, and the checks of the system.

import { byId, el, mark, setAttribute, setMark, setText, setTime, showEmpty, sync } from '/static/dom.js';
import { bytes, clock, count, latency, percent, plural, share, span } from '/static/format.js';
import { scoreFact } from '/static/outlook.js';
import { addTooltip } from '/static/tooltip.js';

const WORDS = { UP: 'Up', DEGRADED: 'Degraded', DOWN: 'Down', MAINTENANCE: 'Maintenance', SUPPRESSED: 'Suppressed', UNKNOWN: 'Unknown' };

export function renderServices(status) {
  const list = byId('services');
  showRange(status.services);
  if (!status.services.length) {
    showEmpty(list, 'No service is declared yet. This writes a commented resile.toml to begin with:', 'resile init');
    return;
  }
  const checksOf = Map.groupBy?.(status.checks, (check) => check.service) ?? group(status.checks);
  sync(list, status.services, (service) => service.name, createService, (node, service) =>
    updateService(node, service, checksOf.get(service.name) ?? []));
}

export function renderChecks(status) {
  const checks = status.checks.filter((check) => !check.service);
  byId('checks-section').hidden = !checks.length;
  sync(byId('checks'), checks, (check) => check.id, createCheck, updateCheck);
}

function showRange(services) {
  const first = services.find((service) => service.uptime?.bars?.length)?.uptime.bars[0].from;
  setText(byId('range'), first ? `past ${span((Date.now() - Date.parse(first)) / 1000)}, newest right` : '');
}

function group(checks) {
  const found = new Map();
  for (const check of checks) found.set(check.service, [...(found.get(check.service) ?? []), check]);
  return found;
}

function createService(service) {
  const name = el('h3', 'name', service.name);
  const bars = el('div', 'bars');
  bars.tabIndex = 0;
  bars.setAttribute('role', 'img');
  const facts = el('div', 'facts');
  const line = el('div', 'line', mark('UNKNOWN'), name, el('span', 'word'), el('span', 'why'), el('span', 'share'));
  const node = el('li', 'service', line, bars, facts);
  node.dataset.service = service.name;
  addTooltip(bars, (index) => describeBar(node.bars, index));
  return node;
}

function updateService(node, service, checks) {
  const state = service.phase === 'stopped' ? 'STOPPED' : service.state;
  showLine(node, state, wordOf(service), service.reason);
  setText(node.querySelector('.share'), share(service.uptime?.availability));
  node.bars = service.uptime?.bars ?? [];
  updateBars(node.querySelector('.bars'), node.bars, service.name);
  const facts = factsOf(service, checks);
  sync(node.querySelector('.facts'), facts, (fact) => fact.label, createFact, updateFact);
}

function showLine(node, state, word, reason) {
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.word'), word);
  const why = node.querySelector('.why');
  setText(why, reason ?? '');
  setAttribute(why, 'title', reason || null);
}

function wordOf(service) {
  if (service.phase === 'stopped') return 'Stopped';
  const word = WORDS[service.state] ?? service.state;
  return service.phase === 'running' ? word : `${word} · ${service.phase}`;
}

function updateBars(strip, bars, name) {
  sync(strip, bars.map((bar, index) => ({ ...bar, index })), (bar) => bar.index, () => document.createElement('i'),
    (node, bar) => setAttribute(node, 'data-s', bar.state));
  const bad = bars.filter((bar) => bar.state && bar.state !== 'UP').length;
  const seen = bars.filter((bar) => bar.state).length;
  setAttribute(strip, 'aria-label', `${name}: ${seen - bad} of ${seen} stretches up, ${bars.length - seen} without data. Arrow keys tell each one.`);
}

function describeBar(bars, index) {
  const bar = bars[index];
  const end = bars[index + 1]?.from;
  const word = bar.state ? WORDS[bar.state] ?? bar.state : 'No data';
  return `${word}\n${clock(bar.from)} – ${end ? clock(end) : 'now'}`;
}

function factsOf(service, checks) {
  const facts = [
    { label: 'pid', text: service.pid ? String(service.pid) : '–' },
    { label: 'restarts', text: count(service.restarts) },
    { label: 'for', at: service.since },
    ...scoreFact(service.health),
  ];
  if (service.memory_bytes) facts.push({ label: 'memory', text: bytes(service.memory_bytes) });
  if (typeof service.cpu_share === 'number') facts.push({ label: 'cpu', text: percent(service.cpu_share) });
  for (const check of checks) facts.push({ label: check.group, text: latencyOf(check), state: check.state, title: check.reason });
  if (service.depends_on.length) facts.push({ label: 'needs', text: service.depends_on.join(', ') });
  return facts;
}

function latencyOf(check) {
  return typeof check.latency_s === 'number' ? latency(check.latency_s) : WORDS[check.state];
}

function createFact(fact) {
  const value = el('b');
  if (fact.at) value.append(el('time'));
  const node = el('span', '', `${fact.label} `, value);
  if (fact.state) node.prepend(mark(fact.state));
  return node;
}

function updateFact(node, fact) {
  const value = node.querySelector('b');
  if (fact.at) setTime(value.firstChild, fact.at, (iso, now) => span((now - Date.parse(iso)) / 1000));
  else setText(value, fact.text);
  if (!fact.state) return;
  setAttribute(node, 'data-state', fact.state);
  setAttribute(node, 'title', `${WORDS[fact.state]}${fact.title ? `: ${fact.title}` : ''}`);
  setMark(node.querySelector('use'), fact.state);
}

function createCheck(check) {
  const line = el('div', 'line', mark('UNKNOWN'), el('h3', 'name', check.id), el('span', 'word'), el('span', 'why'), el('span', 'ms'));
  return el('li', 'check', line);
}

function updateCheck(node, check) {
  showLine(node, check.state, WORDS[check.state] ?? check.state, check.reason);
  setText(node.querySelector('.ms'), typeof check.latency_s === 'number' ? latency(check.latency_s) : '');
}

export function countUp(services) {
  const wanted = services.filter((service) => service.phase !== 'stopped');
  return { up: wanted.filter((service) => service.state === 'UP').length, of: wanted.length, text: plural(services.length, 'service') };
}
