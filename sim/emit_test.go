package sim

import "testing"

// fussy wants switches only.
type fussy struct{ got []Kind }

func (f *fussy) Record(r *Record) { f.got = append(f.got, r.Kind) }
func (*fussy) Wants() KindSet     { return Kinds(KindSwitch, KindMark) }

// TestChooser: a sink gets what it wants, and the machine knows the numbers of the rest.
func TestChooser(t *testing.T) {
	f := &fussy{}
	m := &Machine{cpus: make([]cpu, 2)}
	m.setSink(f)
	m.Tell(KindSwitch, 0, 1, 0, 0)
	m.Tell(KindOp, 0, 1, 0, 0)
	m.Emit(Record{Kind: KindMark})
	m.Emit(Record{Kind: KindPrint})
	m.tellOverhead(&m.cpus[1], 0, 5, CostSwitch)
	if len(f.got) != 2 || f.got[0] != KindSwitch || f.got[1] != KindMark {
		t.Errorf("told of %v, want a switch and a mark", f.got)
	}
	n := m.Tally()
	for _, k := range []Kind{KindSwitch, KindOp, KindMark, KindPrint, KindOverhead} {
		if n.Records[k] != 1 {
			t.Errorf("kind %d: %d records, want 1", k, n.Records[k])
		}
	}
	if n.Overhead[0] != 0 || n.Overhead[1] != 5 {
		t.Errorf("overheads %v, want 0 and 5", n.Overhead)
	}
	m.setSink(SinkFunc(func(r *Record) { f.got = append(f.got, r.Kind) }))
	m.Tell(KindOp, 0, 1, 0, 0)
	if len(f.got) != 3 {
		t.Error("a sink that does not choose was not told")
	}
}
