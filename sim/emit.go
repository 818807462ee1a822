package sim

// KindSet is a set of kinds of records.
type KindSet uint32

// Kinds makes a set.
func Kinds(kinds ...Kind) KindSet {
	var s KindSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// AllKinds is the set of all kinds.
const AllKinds KindSet = 1<<NrKinds - 1

// Has tells whether k is in s.
func (s KindSet) Has(k Kind) bool { return s>>k&1 != 0 }

// Chooser is a Sink that is told of records of some kinds only. Most records are of kinds of which a summary needs no more than
// Machine.Tally.
type Chooser interface {
	Sink
	// Wants is the set of kinds that Record takes. It is asked once, when the machine is made.
	Wants() KindSet
}

// Tally is how many records there were of each kind, and the sum of what those of KindOverhead said, by CPU: the sink of a machine
// needs no records for that.
type Tally struct {
	Records  [NrKinds]uint64
	Overhead []Duration
}

// Tally is what there was up to now.
func (m *Machine) Tally() Tally {
	t := Tally{Records: m.emitted, Overhead: make([]Duration, len(m.cpus))}
	for i := range m.cpus {
		t.Overhead[i] = m.cpus[i].overhead
	}
	return t
}

// setSink makes s the sink, nil for none.
func (m *Machine) setSink(s Sink) {
	m.sink = s
	switch c, ok := s.(Chooser); {
	case ok:
		m.wanted = c.Wants()
	case s != nil:
		m.wanted = AllKinds
	}
}

// Emit sends a record; At is filled in.
func (m *Machine) Emit(r Record) {
	m.rec.Aux = r.Aux
	m.Tell(r.Kind, r.CPU, r.Task, r.A, r.B)
	m.rec.Aux = 0
}

// Tell is Emit for what happens most often: it is inlined, and costs next to nothing where nobody wants to know.
func (m *Machine) Tell(k Kind, cpu CPU, task int32, a, b uint64) {
	m.emitted[k]++
	if m.wanted>>k&1 != 0 {
		m.send(k, cpu, task, a, b)
	}
}

// tellOverhead sends a record of KindOverhead, of d for what, to c.
func (m *Machine) tellOverhead(c *cpu, task int32, d Duration, what CostKind) {
	c.overhead += d
	m.Tell(KindOverhead, c.id, task, uint64(d), uint64(what))
}

func (m *Machine) send(k Kind, cpu CPU, task int32, a, b uint64) {
	rec := &m.rec
	rec.At, rec.A, rec.B, rec.Task, rec.CPU, rec.Kind = m.now, a, b, task, cpu, k
	m.sink.Record(rec)
}
