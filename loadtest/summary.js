// The summary that a person reads, and the same as JSON where SUMMARY_JSON names a file.
import { baseUrl, text } from './settings.js';

const grouped = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',');
const milliseconds = (n) => `${n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)} ms`;

/// For k6's `handleSummary`: `what` says in words what was asked for, `tags` is how many were scanned.
export function summary(script, what, tags, data) {
  const value = (metric, key = 'count') => data.metrics[metric]?.values[key] ?? 0;
  const sent = value('http_reqs');
  const seconds = data.state.testRunDurationMs / 1000;
  const latency = data.metrics['http_req_duration{expected_response:true}']?.values ?? {};
  const wrong = value('wrong_answers', 'passes');
  const failed = Object.entries(data.metrics).flatMap(([metric, { thresholds }]) =>
    Object.entries(thresholds ?? {}).filter(([, { ok }]) => !ok).map(([threshold]) => `${metric}: ${threshold}`),
  );
  const report = {
    script,
    base_url: baseUrl,
    tags,
    seconds,
    sent,
    right: sent - wrong,
    wrong,
    unanswered: value('unanswered'),
    wrong_status: value('wrong_status'),
    without_location: value('without_location'),
    dropped: value('dropped_iterations'),
    latency_ms: latency,
    passed: failed.length === 0,
    failed,
  };

  const lines = [
    '',
    `${script}: ${what}, ${grouped(tags)} tag${tags === 1 ? '' : 's'} at ${baseUrl}`,
    '',
    `  sent        ${grouped(sent)} scans in ${seconds.toFixed(1)} s, ${grouped(sent / seconds)} a second on average`,
    `  right       ${grouped(report.right)}`,
    `  wrong       ${grouped(wrong)} (no answer ${grouped(report.unanswered)}, wrong status ${grouped(report.wrong_status)}, no Location ${grouped(report.without_location)})`,
    `  not sent    ${grouped(report.dropped)} (no virtual user was free)`,
  ];
  if (report.right > 0) {
    const figures = [['p50', 'med'], ['p90', 'p(90)'], ['p99', 'p(99)'], ['p99.9', 'p(99.9)'], ['max', 'max']];
    lines.push(`  latency     ${figures.map(([name, key]) => `${name} ${milliseconds(latency[key])}`).join('   ')}`);
  }
  lines.push('', report.passed ? '  PASSED' : `  FAILED      ${failed.join('   ')}`, '', '');

  const outputs = { stdout: lines.join('\n') };
  const file = text('SUMMARY_JSON', null);
  if (file) outputs[file] = `${JSON.stringify(report, null, 2)}\n`;
  return outputs;
}
