// Puts the page together: first everything once, then again whenever an event says so.

import { showConnection } from '/static/banner.js';
import { tickAll } from '/static/dom.js';
import { addEvents, startEvents } from '/static/events.js';
import { renderHeader, renderStale } from '/static/header.js';
import { renderIncidents } from '/static/incidents.js';
import { ask, follow, together } from '/static/live.js';
import { renderOutlook } from '/static/outlook.js';
import { renderRecovery } from '/static/recovery.js';
import { renderChecks, renderServices } from '/static/services.js';

const POLL_MS = 5000;
const EVENTS_AT_START = 100;
const DEBOUNCE_MS = 100;
const ARRIVED_MAX = 200;

let lastSeenAt = null;
let incidents = [];
let arrived = [];

async function refresh() {
  try {
    const [status, found, recovery] = await Promise.all([ask('/api/status'), ask('/api/incidents'), ask('/api/recovery')]);
    lastSeenAt = new Date().toISOString();
    incidents = found.incidents;
    renderHeader(status);
    renderServices(status);
    renderChecks(status);
    renderOutlook(status);
    renderIncidents(incidents);
    renderRecovery(recovery);
    document.body.dataset.ready = '';
  } catch {
    renderStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, DEBOUNCE_MS);

// A burst of events is drawn once.
const drawSoon = together(async () => {
  const fresh = arrived.reverse();
  arrived = [];
  addEvents(fresh);
}, 50);

async function readLatest() {
  try {
    const { events } = await ask(`/api/events?newest_first=true&limit=${EVENTS_AT_START}`);
    addEvents(events);
    return events[0]?.seq ?? 0;
  } catch {
    return 0;
  }
}

async function start() {
  startEvents();
  const [afterSeq] = await Promise.all([readLatest(), refresh()]);
  follow({
    afterSeq,
    onEvent: (event) => {
      arrived = [...arrived, event].slice(-ARRIVED_MAX);
      drawSoon();
      refreshSoon();
    },
    onOpen: () => {
      showConnection(true);
      refreshSoon();
    },
    onLost: () => {
      showConnection(false);
      refreshSoon();
    },
  });
  setInterval(refreshSoon, POLL_MS);
  setInterval(() => {
    tickAll();
    renderIncidents(incidents);
  }, 1000);
}

start();
