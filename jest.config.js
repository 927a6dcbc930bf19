const { availableParallelism } = require('node:os');

/** Packages that Jest has to be given as CommonJS. */
const ES_MODULES =
  '@(scure|noble|borewit)/[^/]+|@tokenizer/inflate|file-type|strtok3|token-types|uint8array-extras';

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/src'],
  testMatch: ['**/__tests__/**/*.test.ts'],
  globalSetup: '<rootDir>/src/__tests__/fixtures/global-setup.ts',
  setupFiles: ['<rootDir>/src/__tests__/fixtures/setup.ts'],
  globalTeardown: '<rootDir>/src/__tests__/fixtures/global-teardown.ts',
  transform: {
    // Types are checked by `npm run check`; here they are only stripped.
    '^.+\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }],
    // otplib and file-type need these, which are ES modules only; Node can require them, Jest on Node 20 cannot.
    [`/node_modules/(${ES_MODULES})/.+\\.js$`]: [
      'ts-jest',
      { tsconfig: { allowJs: true, module: 'commonjs', target: 'ES2022' }, diagnostics: false },
    ],
  },
  transformIgnorePatterns: [`/node_modules/(?!(.*/)?(${ES_MODULES})/)`],
  testTimeout: 30_000,
  // A worker that has run many files spends more time on collecting garbage than on tests.
  workerIdleMemoryLimit: '768MB',
  // Jest would leave one core free, and so use half of a machine with two.
  maxWorkers: Math.max(2, availableParallelism() - 1),
};
