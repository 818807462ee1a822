package kfuncs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// target shows a kernel to the linker.
type target struct{ *kernels.Kernel }

func (t target) BTF() (*btf.Spec, error) { return t.Kernel.BTF(), nil }
func (t target) Version() uint32         { return t.Code }

// TestObjects checks the programs of compiled schedulers, which a kernel accepts, all but those named for their refusal.
// BPF_OBJECTS is a glob pattern.
func TestObjects(t *testing.T) {
	pattern := os.Getenv("BPF_OBJECTS")
	if pattern == "" {
		t.Skip("BPF_OBJECTS is not set")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %d files", pattern, err, len(files))
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".bpf.o")
		t.Run(name, func(t *testing.T) {
			missing, err := checkObject(t, f)
			if refused := name == "non_scx_kfunc_deny"; (err != nil) != refused {
				t.Errorf("refused: %v", err)
			}
			if len(missing) > 0 {
				t.Logf("not modelled: %s", strings.Join(missing, " "))
			}
		})
	}
}

// checkObject checks the callbacks of an object's tables and lists the functions that it would call and that have no
// implementation.
func checkObject(t *testing.T, file string) (missing []string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	o, err := elf.Read(filepath.Base(file), bytes.NewReader(data))
	if err != nil {
		t.Skip(err)
	}
	linked, err := link.Link(o, target{kernel}, link.Options{FillEnums: true})
	if err != nil {
		t.Skip(err)
	}
	progs := map[string]*link.Program{}
	for _, p := range linked.Programs {
		progs[p.Name] = p
	}
	rows := All(&Host{})
	seen := map[string]bool{}
	for _, s := range linked.StructOps {
		for _, m := range s.Members {
			p := progs[m.Prog]
			if m.Kind != link.MemberFunc || p == nil {
				continue
			}
			ctx := ForeignStructOps(s.Type, p.Sleepable)
			if cid := s.Type == "sched_ext_ops_cid"; cid || s.Type == "sched_ext_ops" {
				row, ok := ops.ByMember(m.Name, cid)
				if !ok {
					t.Errorf("no callback %s", m.Name)
					continue
				}
				ctx = StructOps(row.ID, cid, p.Sleepable)
			}
			if e := Check(p, ctx); e != nil && err == nil {
				err = e
			}
			for _, c := range p.Calls {
				if k := lookup(rows, c.Name); !seen[c.Name] && (k == nil || !k.Modelled()) {
					seen[c.Name] = true
					missing = append(missing, c.Name)
				}
			}
		}
	}
	return missing, err
}
