// One scan: the GET that a phone sends after reading a symbol, and what makes its answer a right one.
import http from 'k6/http';
import { SharedArray } from 'k6/data';
import { Counter, Rate } from 'k6/metrics';
import { baseUrl, flag, host, statuses } from './settings.js';

const wrongAnswers = new Rate('wrong_answers');
const unanswered = new Counter('unanswered');
const wrongStatus = new Counter('wrong_status');
const withoutLocation = new Counter('without_location');

const expected = http.expectedStatuses(...statuses);
const forwarded = flag('FORWARDED_FOR');
const languages = ['de-DE,de;q=0.9,en;q=0.8', 'en-US,en;q=0.9', 'en-GB,en;q=0.9', 'fr-FR,fr;q=0.9', 'es-ES,es;q=0.9', 'pl-PL,pl;q=0.9'];

// One entry per mille of scans, so that a pick is one look-up.
const userAgents = new SharedArray('user agents', () =>
  JSON.parse(open('./user_agents.json')).flatMap(({ per_mille, user_agent }) => Array(per_mille).fill(user_agent)),
);

const pick = (list) => list[Math.floor(Math.random() * list.length)];

/// Scans the tag with this code once, and counts the answer.
export function scan(code) {
  const headers = {
    'User-Agent': pick(userAgents),
    Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'Accept-Language': pick(languages),
  };
  if (host) headers.Host = host;
  if (forwarded) headers['X-Forwarded-For'] = address();

  // Without a name of its own every URL would become a time series of k6's.
  const answer = http.get(`${baseUrl}/${code}`, { headers, redirects: 0, responseCallback: expected, tags: { name: 'scan' } });

  const fault =
    answer.status === 0 ? unanswered : !statuses.includes(answer.status) ? wrongStatus : !answer.headers.Location ? withoutLocation : null;
  if (fault) fault.add(1);
  wrongAnswers.add(fault !== null);
}

// A random unicast IPv4 address outside 10/8 and 127/8: most of them are found in GeoIP files.
function address() {
  const first = [2, 5, 24, 31, 46, 62, 77, 78, 80, 84, 87, 91, 93, 98, 109, 151, 176, 178, 185, 188, 193, 194, 212, 213, 217];
  return [pick(first), 1, 2, 3].map((part, i) => (i === 0 ? part : Math.floor(Math.random() * 256))).join('.');
}
