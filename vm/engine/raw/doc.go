// Package raw decodes bytecode as it is in memory, without relocations, symbols or the verifier's restrictions: what tests
// of engines and other projects' suites hand over. Objects are vm/link's business.
package raw
