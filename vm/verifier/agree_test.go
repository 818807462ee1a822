package verifier_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/attach"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// lab is a kernel to agree with: its types and configuration.
type lab struct {
	spec   *btf.Spec
	config map[string]string
	enums  map[string]uint64
	places *attach.Kernel
}

func (l *lab) BTF() (*btf.Spec, error)            { return l.spec, nil }
func (l *lab) Version() uint32                    { return 7<<16 | 2<<8 }
func (l *lab) Kconfig(name string) (string, bool) { v, ok := l.config[name]; return v, ok }

func (l *lab) EnumValue(name string) (uint64, bool) { v, ok := l.enums[name]; return v, ok }

// newLab reads the kernel that SCHEDSIM_BTF names, with its config beside it.
func newLab(tb testing.TB) *lab {
	file := os.Getenv("SCHEDSIM_BTF")
	if file == "" {
		tb.Skip("SCHEDSIM_BTF is not set: a vmlinux.btf with the kernel's config beside it")
	}
	spec, err := btf.LoadSpec(file)
	if err != nil {
		tb.Fatal(err)
	}
	l := &lab{spec: spec, config: map[string]string{}, enums: map[string]uint64{}}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "config"))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			l.config[k] = v
		}
	}
	for t, err := range spec.All() {
		if err != nil {
			tb.Fatal(err)
		}
		if e, ok := t.(*btf.Enum); ok {
			for _, v := range e.Values {
				l.enums[v.Name] = v.Value
			}
		}
	}
	k, err := kernels.Get("7.2")
	if err != nil {
		tb.Fatal(err)
	}
	l.places = attach.WithTypes(k, spec)
	l.places.CPUs = 2 // of the machine that the verdicts and counts are from
	return l
}

// verdict of one program.
type verdict struct {
	file, prog, got string
	err             *verifier.Error
	res             verifier.Result
	why             string
}

// object reads and links an object; nil if that cannot be done.
func (l *lab) object(tb testing.TB, file string) (*link.Object, string) {
	tb.Helper()
	return readObject(tb, l, file)
}

func readObject(tb testing.TB, target link.Target, file string) (*link.Object, string) {
	tb.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".bpf.o")
	in, err := elf.Read(name, bytes.NewReader(raw))
	if err != nil {
		tb.Logf("%s: %v", name, err)
		return nil, name
	}
	// The recorded verdicts are from a loader that leaves variables for enumerators zero.
	o, err := link.Link(in, target, link.Options{KeepGoing: true})
	if err != nil {
		tb.Logf("%s: %v", name, err)
		return nil, name
	}
	return o, name
}

func checkObject(tb testing.TB, l *lab, file string, only func(p *link.Program) bool) []verdict {
	tb.Helper()
	return checkLinked(tb, l, l.places, file, only)
}

func checkLinked(tb testing.TB, target link.Target, places *attach.Kernel, file string, only func(p *link.Program) bool) []verdict {
	tb.Helper()
	o, name := readObject(tb, target, file)
	if o == nil {
		return nil
	}
	var out []verdict
	for _, p := range o.Programs {
		if !only(p) {
			continue
		}
		v := verdict{file: name, prog: p.Name, got: "success"}
		at, err := places.Program(o, p)
		switch {
		case errors.Is(err, attach.ErrUnsupported):
			v.why = err.Error()
		case err != nil:
			v.got, v.err = "failure", &verifier.Error{Prog: p.Name, Insn: -1, Msg: err.Error(), Log: []string{err.Error()}}
		default:
			v.res, err = verifier.Check(o, p, at)
			if err != nil {
				v.got = "failure"
				if !errors.As(err, &v.err) {
					tb.Fatalf("%s: %v is no *Error", p.Name, err)
				}
			}
		}
		out = append(out, v)
	}
	return out
}

func objects(tb testing.TB, variable string) []string {
	dirs := filepath.SplitList(os.Getenv(variable))
	if len(dirs) == 0 {
		tb.Skip(variable + " is not set: directories with .bpf.o files")
	}
	var files []string
	for _, dir := range dirs {
		l, _ := filepath.Glob(filepath.Join(dir, "*.bpf.o"))
		if len(l) == 0 {
			tb.Fatalf("%s: no objects", dir)
		}
		files = append(files, l...)
	}
	return files
}

// TestSchedulers: the schedulers in the directories of SCHEDSIM_OBJECTS are accepted, those made to be refused are not.
func TestSchedulers(t *testing.T) {
	l := newLab(t)
	refused := map[string]bool{"maybe_null_fail_dispatch": true, "maybe_null_fail_yield": true, "tcp_ca_ssthresh": true}
	// clang-19 leaves casts of arena pointers out of these.
	lacking := map[string]bool{"qmap_dequeue": true, "qmap_dispatch": true, "qmap_init_task": true}
	good, bad, unsupported := 0, 0, 0
	for _, file := range objects(t, "SCHEDSIM_OBJECTS") {
		for _, v := range checkObject(t, l, file, func(p *link.Program) bool { return p.AutoLoad }) {
			want := "success"
			if refused[v.prog] || lacking[v.prog] && filepath.Base(filepath.Dir(file)) == "kernel" {
				want = "failure"
			}
			switch {
			case v.why != "" || v.err != nil && v.err.Code == verifier.CodeUnsupported:
				unsupported++
				t.Logf("UNSUPPORTED %s %s: %s%v", v.file, v.prog, v.why, v.err)
			case v.got == want:
				good++
			default:
				bad++
				t.Logf("DIFFERS %s: want %s, got %s: %v", v.file, want, v.got, v.err)
			}
		}
	}
	t.Logf("%d agree, %d differ, %d unsupported", good, bad, unsupported)
	if bad > 0 {
		t.Errorf("%d programs get another verdict than the kernel gives", bad)
	}
}

// record is a line of the kernel's verdicts.
type record struct {
	File, Prog, Verdict, Last string
	// Veristat loads through libbpf, the first verdict is from a loader that changes some instructions.
	Veristat struct{ Verdict string }
}

// TestAgreement compares the verdicts on the kernel's own tests with those in the file that SCHEDSIM_VERDICTS names.
func TestAgreement(t *testing.T) {
	l := newLab(t)
	name := os.Getenv("SCHEDSIM_VERDICTS")
	if name == "" {
		t.Skip("SCHEDSIM_VERDICTS is not set: a .jsonl.gz with the kernel's verdicts")
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]record{}
	for d := json.NewDecoder(z); d.More(); {
		var r record
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if v := r.Veristat.Verdict; v != "" {
			r.Verdict = v
		}
		if r.Verdict != "success" && r.Verdict != "failure" {
			continue
		}
		if want[r.File] == nil {
			want[r.File] = map[string]record{}
		}
		want[r.File][r.Prog] = r
	}
	var sum [6]int
	for _, file := range objects(t, "SCHEDSIM_VERIFIER_OBJECTS") {
		base := strings.TrimSuffix(filepath.Base(file), ".bpf.o")
		recs := want[base]
		if recs == nil {
			continue
		}
		var n [6]int
		for _, v := range checkObject(t, l, file, func(p *link.Program) bool { _, ok := recs[p.Name]; return ok }) {
			r := recs[v.prog]
			switch {
			case v.why != "" || v.err != nil && v.err.Code == verifier.CodeUnsupported && r.Verdict == "success":
				n[4]++
				t.Logf("UNSUPPORTED %s/%s: %s%v", base, v.prog, v.why, v.err)
			case v.err != nil && v.err.Code == verifier.CodeUnsupported:
				n[5]++
			case v.got == r.Verdict && r.Verdict == "success":
				n[0]++
			case v.got == r.Verdict:
				n[1]++
			case v.got == "success":
				n[2]++
				t.Logf("UNSOUND %s/%s: the kernel says %q", base, v.prog, r.Last)
			default:
				n[3]++
				t.Logf("INCOMPLETE %s/%s: %v", base, v.prog, v.err)
			}
		}
		t.Logf("FILE %s: accept %d, refuse %d, unsound %d, incomplete %d, unsupported %d, refused as unsupported %d", base, n[0], n[1], n[2], n[3], n[4], n[5])
		for i := range n {
			sum[i] += n[i]
		}
	}
	if sum[2] > 0 {
		t.Errorf("%d programs that the kernel refuses are accepted", sum[2])
	}
	t.Logf("TOTAL: accept %d, refuse %d, unsound %d, incomplete %d, unsupported %d, refused as unsupported %d", sum[0], sum[1], sum[2], sum[3], sum[4], sum[5])
}
