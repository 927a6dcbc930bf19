'use strict';
const { ModernFakeTimers } = require('@jest/fake-timers');
const { ModuleMocker } = require('jest-mock');

/**
 * A Jest environment without a `vm` context: tests run in the globals of the worker process. What it offers beyond
 * that is what Jest asks of every environment.
 */
module.exports = class ProcessEnvironment {
  constructor({ projectConfig }) {
    this.global = globalThis;
    this.moduleMocker = new ModuleMocker(globalThis);
    this.fakeTimersModern = new ModernFakeTimers({ config: projectConfig, global: globalThis });
    this.console = globalThis.console;
    this.exit = process.exit;
  }

  async setup() {}

  async teardown() {
    this.fakeTimersModern.dispose();
    // Jest puts its own in their place for each file.
    globalThis.console = this.console;
    process.exit = this.exit;
    forgetTestsOfFile();
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  getVmContext() {
    return null;
  }
};

/**
 * Removes what jest-circus keeps in globals: the tests of the file, and the handlers of their events, to which each file
 * adds its own. They hold all that the tests have used, and each event would be handled once more for each earlier file.
 */
function forgetTestsOfFile() {
  for (const key of Object.getOwnPropertySymbols(globalThis)) {
    if (key.description === 'EVENT_HANDLERS' || key.description === 'JEST_STATE_SYMBOL')
      delete globalThis[key];
  }
}
