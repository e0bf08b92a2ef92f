// What the scripts take from the environment, checked once, before anything is sent. README.md lists it for people.
import { SharedArray } from 'k6/data';

export function text(name, standard) {
  const value = __ENV[name];
  return value === undefined || value === '' ? standard : value;
}

export function number(name, standard) {
  const value = Number(text(name, standard));
  if (!Number.isFinite(value) || value < 0) throw new Error(`${name} must be a number of 0 or more, not "${__ENV[name]}"`);
  return value;
}

export function flag(name) {
  const value = text(name, 'false');
  if (value !== 'true' && value !== 'false') throw new Error(`${name} must be true or false, not "${value}"`);
  return value === 'true';
}

export const baseUrl = text('BASE_URL', 'http://127.0.0.1:8080').replace(/\/+$/, '');
export const host = text('HOST', null);
export const statuses = text('STATUS', '302').split(',').map(Number);

/// The codes to scan, shared by all virtual users, so that a million of them are in memory once.
export const codes = new SharedArray('codes', () => {
  const list = listCodes();
  if (list.length === 0) throw new Error('name the tags to scan: CODES=a,b or CODES_FILE=path or CODE_PREFIX=load- CODE_COUNT=1000');
  return list;
});

function listCodes() {
  const filled = (lines) => lines.map((line) => line.trim()).filter((line) => line !== '');
  if (text('CODES', null)) return filled(__ENV.CODES.split(','));
  if (text('CODES_FILE', null)) {
    // k6 takes a relative path as relative to this script; whoever typed it meant their own folder.
    const path = __ENV.CODES_FILE.startsWith('/') ? __ENV.CODES_FILE : `${__ENV.PWD}/${__ENV.CODES_FILE}`;
    return filled(open(path).split('\n'));
  }
  const width = number('CODE_DIGITS', 0);
  const first = number('CODE_FIRST', 1);
  return Array.from({ length: number('CODE_COUNT', 0) }, (_, i) => `${text('CODE_PREFIX', '')}${String(first + i).padStart(width, '0')}`);
}

/// Options that both scripts share. `sent` is what k6 must count as sent, `dropped` how many scans may be due and not sent.
/// Latency is judged on right answers only (a refused connection is quick, and no success), and against `p99` unless P99_MS
/// is given; without either it is not judged.
export function options(scenario, { p99, sent, dropped }) {
  const limit = number('P99_MS', p99);
  return {
    scenarios: { scans: scenario },
    thresholds: {
      http_reqs: [`count${sent}`],
      wrong_answers: [`rate<=${number('MAX_ERRORS', 0)}`],
      dropped_iterations: [`count<=${Math.floor(dropped)}`],
      'http_req_duration{expected_response:true}': limit ? [`p(99)<${limit}`] : [],
    },
    maxRedirects: 0,
    discardResponseBodies: true,
    noConnectionReuse: flag('NEW_CONNECTIONS'),
    insecureSkipTLSVerify: flag('INSECURE'),
    summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
  };
}
