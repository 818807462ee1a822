package verifier

// maxHeld bounds the memory that verification holds at a time: states that are kept for comparison or wait to be followed,
// and what is known of stacks before paths are followed. A program that needs more is refused as too complex; the kernel
// has no bound of its own but charges the memory to the process that loads. Beside it stand some 500 bytes for each
// instruction of the program, of which there are at most a million, and the log.
const maxHeld = 1 << 30

// foldBytes is what constants take for an instruction while they are looked for.
const foldBytes = 11*16 + 1

// charge counts memory that is held from now on.
func (v *verifier) charge(n int64) error {
	if v.held += n; v.held > v.maxHeld {
		return refuse(CodeTooComplex, "verification needs more than %d MiB of memory", v.maxHeld>>20)
	}
	return nil
}

func (v *verifier) discharge(n int64) { v.held -= n }

// bytes is about the memory that the state takes.
func (s *state) bytes() int64 {
	n := int64(256 + 32*len(s.refs) + 24*len(s.hist))
	for _, f := range s.frames {
		n += int64(frameBytes + slotBytes*len(f.stack))
	}
	return n
}

// maxWork bounds the work before paths are followed, in instructions looked at, where the number of rounds depends on how
// loops and calls are nested: some seconds.
const maxWork = 1 << 29

func (v *verifier) spend(n int) error {
	if v.work += n; v.work > maxWork {
		v.insnIdx = -1
		return refuse(CodeTooComplex, "analysis before verification exceeded complexity limit (%d instructions)", maxWork)
	}
	return nil
}
