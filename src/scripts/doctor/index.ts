import { inspectConfig } from '../../config/env.config';
import { callsCheck } from './calls';
import { runChecks, type Check, type CheckResult } from './check';
import { databaseCheck } from './database';
import { folderChecks } from './folders';
import { machineChecks } from './machine';
import { mailCheck } from './mail';
import { networkChecks } from './network';
import { redisCheck } from './redis';
import { settingChecks } from './settings';

/** The checks beside those of the settings, in the order in which they are shown. */
const CHECKS: readonly Check[] = [
  ...machineChecks,
  ...folderChecks,
  databaseCheck,
  redisCheck,
  mailCheck,
  callsCheck,
  ...networkChecks,
];

/** Checks the configuration in the environment and in `.env`. Changes nothing but temporary files. */
export function examine(environment?: NodeJS.ProcessEnv, workingDirectory?: string): Promise<CheckResult[]> {
  const inspection = inspectConfig(environment, workingDirectory);
  return runChecks([...settingChecks(inspection), ...CHECKS], inspection.config, inspection.invalid);
}
