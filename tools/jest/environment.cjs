'use strict';
const { ModernFakeTimers } = require('@jest/fake-timers');
const { ModuleMocker } = require('jest-mock');

/**
 * A Jest environment without a `vm` context: tests run with the globals of the worker process. Otherwise it offers what
 * Jest requires of every environment.
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
    // Jest replaces it for each file.
    globalThis.console = this.console;
    process.exit = this.exit;
    removeTestsOfFile();
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  getVmContext() {
    return null;
  }
};

/**
 * Removes what jest-circus stores in globals: the tests of the file and the event handlers, to which each file adds its
 * own. They would keep everything alive that the tests have used, and handle each event again for each earlier file.
 */
function removeTestsOfFile() {
  for (const key of Object.getOwnPropertySymbols(globalThis)) {
    if (key.description === 'EVENT_HANDLERS' || key.description === 'JEST_STATE_SYMBOL')
      delete globalThis[key];
  }
}
