package verifier

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
)

// world is the kernel that test programs are for.
type world struct {
	spec   *btf.Spec
	task   *btf.Struct
	kfuncs map[string]Kfunc
	local  *btf.Spec // the program's types, where it needs some
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	k, err := kernels.Get("7.2")
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{spec: k.BTF(), kfuncs: map[string]Kfunc{}}
	if err := w.spec.TypeByName("task_struct", &w.task); err != nil {
		tb.Fatal(err)
	}
	for _, f := range k.Kfuncs() {
		w.kfuncs[f.Name] = Kfunc{Type: f.Type, Flags: f.Flags}
	}
	// A function that takes a trusted task and nothing less.
	w.kfuncs["test_task"] = Kfunc{Type: &btf.Func{Name: "test_task", Type: &btf.FuncProto{Return: &btf.Void{},
		Params: []btf.FuncParam{{Name: "p", Type: &btf.Pointer{Target: w.task}}}}}}
	w.kfuncs["test_sleep"] = Kfunc{Type: &btf.Func{Name: "test_sleep", Type: &btf.FuncProto{Return: &btf.Void{}}}, Flags: abi.Sleepable}
	return w
}

// offset is that of a field of task_struct.
func (w *world) offset(field string) uint32 {
	for _, m := range w.task.Members {
		if m.Name == field {
			return m.Offset.Bytes()
		}
	}
	return 0
}

func (w *world) attachment(options string) Attachment {
	p := &btf.Pointer{Target: w.task}
	args := NewArgs(&btf.FuncProto{Params: []btf.FuncParam{{Name: "p", Type: p}, {Name: "n", Type: &btf.Int{Name: "u64", Size: 8}}, {Name: "q__nullable", Type: p}}}, true)
	at := Attachment{Kernel: w.spec, Context: args, NrCPUs: 4, Sleepable: strings.Contains(options, "sleepable"),
		Helper: func(id int32) bool { return id < maxHelper },
		Kfunc: func(name string) (Kfunc, error) {
			if f, ok := w.kfuncs[name]; ok {
				return f, nil
			}
			return Kfunc{}, fmt.Errorf("calling kernel function %s is not allowed", name)
		},
		Store: func(typ string, off, size uint32) bool { return typ == "task_struct" && off == 8 && size == 8 }}
	at.StructOps = strings.Contains(options, "structops")
	if strings.Contains(options, "void") {
		at.Return.Kind = ReturnVoid
	}
	if strings.Contains(options, "range") {
		at.Return = Return{Kind: ReturnRange, Lo: 0, Hi: 1}
	}
	return at
}

func (w *world) run(tb testing.TB, name, options, text string) (*testProgram, Result, *Error) {
	tb.Helper()
	text = strings.ReplaceAll(text, "+ MM)", fmt.Sprintf("+ %d)", w.offset("last_wakee")))
	text = strings.ReplaceAll(text, "+ CPUS_PTR)", fmt.Sprintf("+ %d)", w.offset("cpus_ptr")))
	p, err := assemble(name, text)
	if err != nil {
		tb.Fatal(err)
	}
	if strings.Contains(options, "proprietary") {
		p.obj.License = "Proprietary"
	}
	res, err := Check(p.obj, p.prog, w.attachment(options))
	var e *Error
	if err != nil && !errors.As(err, &e) {
		tb.Fatalf("%v is no *Error", err)
	}
	return p, res, e
}

// TestCases runs the programs in testdata: "=== name options", then the program.
func TestCases(t *testing.T) {
	w := newWorld(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no test programs")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(b), "\n=== ")[1:] {
			head, text, _ := strings.Cut(c, "\n")
			name, options, _ := strings.Cut(head, " ")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				p, _, e := w.run(t, name, options, text)
				switch {
				case e == nil && p.want != "":
					t.Fatalf("accepted, want %s at instruction %d", p.want, p.insn)
				case e != nil && p.want == "":
					t.Fatalf("refused: %v\n%s", e, strings.Join(e.Log, "\n"))
				case e != nil && (e.Code != p.want || e.Insn != p.insn):
					t.Fatalf("refused: %v\nwant %s at instruction %d\n%s", e, p.want, p.insn, strings.Join(e.Log, "\n"))
				case e != nil && (len(e.Log) == 0 || e.Log[len(e.Log)-1] != e.Msg):
					t.Fatalf("the log does not end in the message %q: %q", e.Msg, e.Log)
				}
			})
		}
	}
}

// TestCodes: every code is listed once, and its example earns it.
func TestCodes(t *testing.T) {
	w := newWorld(t)
	var seen []Code
	for _, c := range Codes() {
		t.Run(string(c.Code), func(t *testing.T) {
			if slices.Contains(seen, c.Code) {
				t.Fatal("listed twice")
			}
			seen = append(seen, c.Code)
			options, text := "", c.Example
			if c.Code == CodeLicense {
				options, text = "proprietary", "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall probe_read_kernel\nr0 = 0\nexit"
			}
			_, _, e := w.run(t, "main", options, text)
			if e == nil || e.Code != c.Code {
				t.Fatalf("%q earns %v", text, e)
			}
		})
	}
}
