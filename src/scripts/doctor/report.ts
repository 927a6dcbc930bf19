import type { CheckResult, Status } from './check';

const SYMBOLS: Record<Status, string> = { ok: '✓', warning: '!', error: '✗', skipped: '–' };

/** Returns the findings as text, under their groups, with the advice below each one. */
export function asText(results: readonly CheckResult[]): string {
  const groups = new Set(results.map(({ group }) => group));
  const lines = [...groups].flatMap((group) => {
    const findings = results.filter((result) => result.group === group).flatMap((result) => result.findings);
    if (findings.length === 0) return [];
    return [
      group,
      ...findings.flatMap(({ status, message, advice }) => [
        `  ${SYMBOLS[status]} ${message}`,
        ...(advice !== undefined && status !== 'ok' ? [`      ${advice}`] : []),
      ]),
      '',
    ];
  });
  return [...lines, summaryOf(results)].join('\n');
}

/** Returns the findings for programs, as a line of JSON. */
export function asJson(results: readonly CheckResult[]): string {
  return JSON.stringify({ ok: !hasErrors(results), checks: results });
}

/** Whether the server would not work, or only in part. */
export function hasErrors(results: readonly CheckResult[]): boolean {
  return count(results, 'error') > 0;
}

function summaryOf(results: readonly CheckResult[]): string {
  const errors = count(results, 'error');
  const warnings = count(results, 'warning');
  if (errors + warnings === 0) return 'Everything is fine.';
  return `${plural(errors, 'error')}, ${plural(warnings, 'warning')}.`;
}

function count(results: readonly CheckResult[], status: Status): number {
  return results.flatMap(({ findings }) => findings).filter((finding) => finding.status === status).length;
}

function plural(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
