const { availableParallelism } = require('node:os');

/** @type {import('jest').Config} */
module.exports = {
  // Tests run in the worker process itself and share its modules: docs/decisions/0041-application-loaded-once.md.
  testEnvironment: '<rootDir>/tools/jest/environment.cjs',
  runtime: '<rootDir>/tools/jest/runtime.cjs',
  testSequencer: '<rootDir>/tools/jest/sequencer.cjs',
  roots: ['<rootDir>/src', '<rootDir>/packages'],
  testMatch: ['**/__tests__/**/*.test.ts'],
  globalSetup: '<rootDir>/src/__tests__/fixtures/global-setup.ts',
  setupFiles: ['<rootDir>/tools/jest/setup.cjs'],
  globalTeardown: '<rootDir>/src/__tests__/fixtures/global-teardown.ts',
  transform: {
    // Types are checked by `npm run check`; here they are only stripped.
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
        sourceMaps: true,
      },
    ],
  },
  testTimeout: 30_000,
  // Some tests wait for a clock or for a process: two workers more than there are cores leave no core idle meanwhile.
  maxWorkers: availableParallelism() + 2,
};
