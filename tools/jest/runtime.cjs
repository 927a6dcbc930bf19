'use strict';
const { createRequire } = require('node:module');
const Module = require('node:module');
const { sep } = require('node:path');

const TESTS = `${sep}__tests__${sep}`;
const ONCE = `${sep}once${sep}`;
const JEST_CIRCUS = `${sep}jest-circus${sep}`;

/**
 * Loads modules with the `require` of Node.js instead of jest-runtime, which would load all modules of the application
 * and its libraries again for each test file. Here a worker loads them once. Only modules in `__tests__` are loaded
 * again for each file, because fixtures may register hooks, except those in `fixtures/once`.
 *
 * Modules cannot be mocked. See docs/decisions/0041-application-loaded-once.md.
 */
class SharedRuntime {
  #transformer;
  #requireFrom;
  #environment;
  #sourceMaps = new Map();

  constructor(config, environment, resolver, transformer, cacheFS, coverageOptions, testPath) {
    this.#environment = environment;
    this.#transformer = transformer;
    this.#requireFrom = createRequire(testPath);
    uncache((path) => path.includes(TESTS) && !path.includes(ONCE));
    this.#compileTypeScript();
    environment.global.jest = this.#jest();
  }

  requireModule(path) {
    return this.#requireFrom(path);
  }

  /** The part of jest-circus that stores the tests of a file is loaded again for each file. */
  requireInternalModule(path) {
    uncache((cached) => cached.includes(JEST_CIRCUS));
    return require(path);
  }

  setGlobalsForRuntime() {}

  unstable_shouldLoadAsEsm() {
    return false;
  }

  enterTestCode() {}
  leaveTestCode() {}

  resetModules() {}

  clearAllMocks() {
    this.#environment.moduleMocker.clearAllMocks();
  }

  resetAllMocks() {
    this.#environment.moduleMocker.resetAllMocks();
  }

  restoreAllMocks() {
    this.#environment.moduleMocker.restoreAllMocks();
  }

  getSourceMaps() {
    return this.#sourceMaps;
  }

  getAllCoverageInfoCopy() {
    return undefined;
  }

  teardown() {
    this.restoreAllMocks();
  }

  /** Makes Node.js load .ts files with the transformer of the Jest configuration, which has a cache on disk. */
  #compileTypeScript() {
    Module._extensions['.ts'] = (module, path) => {
      const { code, sourceMapPath } = this.#transformer.transform(path, {
        collectCoverage: false,
        isInternalModule: false,
        supportsDynamicImport: true,
        supportsExportNamespaceFrom: false,
        supportsStaticESM: false,
        supportsTopLevelAwait: false,
      });
      if (sourceMapPath) this.#sourceMaps.set(path, sourceMapPath);
      module._compile(code, path);
    };
  }

  #jest() {
    const { moduleMocker, fakeTimersModern: timers } = this.#environment;
    return {
      fn: moduleMocker.fn.bind(moduleMocker),
      spyOn: moduleMocker.spyOn.bind(moduleMocker),
      clearAllMocks: () => this.clearAllMocks(),
      restoreAllMocks: () => this.restoreAllMocks(),
      useFakeTimers: (options) => timers.useFakeTimers(options),
      useRealTimers: () => timers.useRealTimers(),
      setSystemTime: (now) => timers.setSystemTime(now),
      advanceTimersByTime: (milliseconds) => timers.advanceTimersByTime(milliseconds),
    };
  }
}

function uncache(matches) {
  for (const path of Object.keys(require.cache)) if (matches(path)) delete require.cache[path];
  // Each module of Node.js has a list of the modules that it has loaded.
  module.children = module.children.filter(({ filename }) => !matches(filename));
}

exports.default = SharedRuntime;
Object.defineProperty(exports, '__esModule', { value: true });
