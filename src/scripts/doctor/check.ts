import type { Config } from '../../config/env.config';
import { asRedacted } from './secrets';

/** How a finding counts. Only an error makes the doctor fail. */
export type Status = 'ok' | 'warning' | 'error' | 'skipped';

/** One thing that a check has found. */
export interface Finding {
  status: Status;
  message: string;
  /** What the administrator should do. */
  advice?: string;
}

/** Receives the findings of a check, in the order in which they are shown. */
export type Report = (status: Status, message: string, advice?: string) => void;

/** One check of the configuration. All of them run at the same time. */
export interface Check {
  /** The heading under which its findings are shown. */
  group: string;
  title: string;
  /** The settings that it uses. It is skipped when one of them is not valid. */
  settings: readonly string[];
  /**
   * Reports what it finds. What it throws is reported as an error, after the findings so far.
   * @param signal aborts when its time is over; then it closes its connections.
   */
  run(config: Config, report: Report, signal: AbortSignal): Promise<void> | void;
}

/** A check with its findings. */
export interface CheckResult {
  group: string;
  title: string;
  findings: Finding[];
}

/** How long one check may take. Its connections have shorter time-outs, so that it can say which one was too slow. */
const TIMEOUT_MS = 20_000;

/**
 * Runs checks at the same time. A check that fails or takes too long does not prevent the others.
 * @param invalid the settings that are not valid: checks that use them are skipped.
 */
export function runChecks(
  checks: readonly Check[],
  config: Config,
  invalid: ReadonlySet<string> = new Set(),
  timeoutMs = TIMEOUT_MS,
): Promise<CheckResult[]> {
  const redact = asRedacted(config);
  return Promise.all(
    checks.map(async (check) => {
      const { group, title, settings } = check;
      const unusable = settings.filter((name) => invalid.has(name));
      const findings =
        unusable.length > 0 ? [skippedBecauseOf(title, unusable)] : await runCheck(check, config, timeoutMs);
      return { group, title, findings: findings.map((finding) => redactFinding(finding, redact)) };
    }),
  );
}

function skippedBecauseOf(title: string, unusable: readonly string[]): Finding {
  const verb = unusable.length > 1 ? 'are' : 'is';
  return {
    status: 'skipped',
    message: `${title}: not checked, because ${unusable.join(', ')} ${verb} not valid`,
  };
}

async function runCheck(check: Check, config: Config, timeoutMs: number): Promise<Finding[]> {
  const findings: Finding[] = [];
  const ending = new AbortController();
  const report: Report = (status, message, advice) => {
    if (!ending.signal.aborted) findings.push({ status, message, ...(advice !== undefined && { advice }) });
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      report('error', `${check.title}: the check has not ended within ${timeoutMs / 1000} s`);
      resolve();
    }, timeoutMs);
  });
  try {
    await Promise.race([check.run(config, report, ending.signal), late]);
  } catch (error) {
    report('error', `${check.title}: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
  return findings;
}

function redactFinding(finding: Finding, redact: (text: string) => string): Finding {
  const { status, message, advice } = finding;
  return { status, message: redact(message), ...(advice !== undefined && { advice: redact(advice) }) };
}

/** Returns the message of an error in one line. Errors of several connection attempts have none of their own. */
export function messageOf(error: unknown): string {
  const { message, code, errors } = error as NodeJS.ErrnoException & { errors?: unknown[] };
  const text = message || (errors?.[0] as Error | undefined)?.message || code || String(error);
  return text.replace(/\s*\n\s*/g, ' ');
}
