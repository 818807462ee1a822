package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
	"github.com/schedsim/schedsim/benchmarks/lab/plan"
	"github.com/schedsim/schedsim/workloads"
)

// matrix says what to record.
type matrix struct {
	workloads, schedulers []string
	cpus                  []int
	seeds                 []uint64
	stream, apart         bool
	dir, objects          string
	timeout, streamMS     int
}

func recordCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("record", flag.ContinueOnError)
	workload := f.String("workload", "", "workloads of benchmarks/lab/workloads, comma-separated; none: all")
	scheduler := f.String("scheduler", "", "schedulers, comma-separated; none: all")
	cpus := f.String("cpus", "1,2,4", "numbers of CPUs")
	seeds := f.String("seeds", "", "seeds; none: 1 on one CPU, on more 1,2,3")
	stream := f.Bool("stream", false, "record the callbacks too; the schedulers' names then end in "+tapped)
	streamMS := f.Int("stream-ms", 0, "how much of the window the callbacks are recorded of; 0: all")
	apart := f.Bool("apart", false, "a boot for each workload")
	dir := f.String("o", "benchmarks/lab/recorded", "folder of the recorded runs")
	objects := f.String("objects", "", "folders with objects, comma-separated")
	timeout := f.Int("timeout", 3600, "seconds that a boot may take")
	if err := f.Parse(args); err != nil {
		return err
	}
	m := matrix{stream: *stream, apart: *apart, dir: *dir, objects: *objects, timeout: *timeout, streamMS: *streamMS}
	l, err := here()
	if err != nil {
		return err
	}
	if m.workloads, err = workloadFiles(l.root, folders(*workload)); err != nil {
		return err
	}
	if m.schedulers = folders(*scheduler); m.schedulers == nil {
		list, err := schedulers()
		if err != nil {
			return err
		}
		for _, s := range list {
			m.schedulers = append(m.schedulers, s.Name)
		}
	}
	for _, text := range folders(*cpus) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-cpus: %w", err)
		}
		m.cpus = append(m.cpus, n)
	}
	for _, text := range folders(*seeds) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return fmt.Errorf("-seeds: %q, expected numbers above 0", text)
		}
		m.seeds = append(m.seeds, n)
	}
	return m.record(ctx, l)
}

// workloadFiles are the files of the matrix, all or those named.
func workloadFiles(root string, names []string) ([]string, error) {
	dir := filepath.Join(root, "benchmarks", "lab", "workloads")
	all, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || names == nil {
		return all, err
	}
	var out []string
	for _, n := range names {
		p := filepath.Join(dir, n+".json")
		if !slices.Contains(all, p) {
			return nil, fmt.Errorf("no workload %s", p)
		}
		out = append(out, p)
	}
	return out, nil
}

// machines tells on which numbers of CPUs a workload is played: "hogs-2" on 2, others on all that they can be bound to.
func machines(path string, cpus []int) ([]int, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil {
			if slices.Contains(cpus, n) {
				return []int{n}, nil
			}
			return nil, nil
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, n := range cpus {
		w, err := workloads.Parse(path, text, workloads.Options{CPUs: n})
		if err != nil {
			return nil, err
		}
		if _, err := w.Bind(n); err == nil {
			out = append(out, n)
		}
	}
	return out, nil
}

// record plays the matrix: a boot for each number of CPUs and seed, or for each workload of these.
func (m *matrix) record(ctx context.Context, l *lab) error {
	failed := 0
	for _, cpus := range m.cpus {
		var list []string
		for _, w := range m.workloads {
			on, err := machines(w, []int{cpus})
			if err != nil {
				return err
			}
			if len(on) > 0 {
				list = append(list, w)
			}
		}
		if len(list) == 0 {
			continue
		}
		seeds := m.seeds
		if seeds == nil {
			if seeds = []uint64{1, 2, 3}; cpus == 1 {
				seeds = seeds[:1]
			}
		}
		groups := [][]string{list}
		if m.apart {
			groups = slices.Collect(slices.Chunk(list, 1))
		}
		for _, group := range groups {
			for _, seed := range seeds {
				n, err := m.boot(ctx, l, cpus, seed, group)
				if err != nil {
					return err
				}
				failed += n
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d runs failed", failed)
	}
	return nil
}

// pair is one thing to play.
type pair struct{ workload, scheduler string }

// boot records workloads under all schedulers and returns how many runs failed. Where the guest hangs in one of them, that one is
// left out, and the rest gets another boot.
func (m *matrix) boot(ctx context.Context, l *lab, cpus int, seed uint64, list []string) (failed int, err error) {
	var todo []pair
	for _, w := range list {
		for _, s := range m.schedulers {
			todo = append(todo, pair{w, s})
		}
	}
	for len(todo) > 0 {
		j := &job.Job{CPUs: cpus, Seed: seed, SettleMS: 2000 + 37*int(seed-1), TimeoutS: m.timeout}
		for _, p := range todo {
			j.Steps = append(j.Steps, job.Step{Do: "play", Workloads: []string{p.workload}, Schedulers: []string{p.scheduler}, Stream: m.stream,
				StreamMS: m.streamMS})
		}
		if err := j.Check(); err != nil {
			return failed, err
		}
		o, err := boot(ctx, l, j, folders(m.objects), os.Stderr, nil)
		if o == nil {
			return failed, err
		}
		failed += len(o.problems)
		if e := m.keep(o); e != nil {
			return failed, e
		}
		if !errors.Is(err, errStuck) || o.steps >= len(todo) {
			return failed, err
		}
		p := todo[o.steps]
		fmt.Fprintf(os.Stderr, "%s under %s: %v; going on without\n", p.workload, p.scheduler, err)
		failed++
		todo = todo[o.steps+1:]
	}
	return failed, nil
}

// keep writes the runs of a boot to their folder.
func (m *matrix) keep(o *outcome) (err error) {
	for _, p := range o.problems {
		fmt.Fprintf(os.Stderr, "%s: %s\n%s\n", p.Step, p.Error, p.Log)
	}
	kept := 0
	for _, name := range sortedKeys(o.files) {
		data := o.files[name]
		switch filepath.Ext(name) {
		case ".ops":
			if data, err = compress(data); err != nil {
				return err
			}
			name += ".gz"
		case ".json":
			if !strings.Contains(name, "/") {
				continue // about the boot
			}
			kept++
		default:
			continue
		}
		if err := writeFile(filepath.Join(m.dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%d runs in %.0f s\n", kept, o.took.Seconds())
	return nil
}

func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = z.Write(data)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}

// listCommand shows what there is to record.
func listCommand() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	files, err := workloadFiles(root, nil)
	if err != nil {
		return err
	}
	fmt.Println("workloads:")
	for _, p := range files {
		on, err := machines(p, []int{1, 2, 4})
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		note := ""
		for _, n := range on {
			if _, err := plan.Compile(p, text, plan.Options{CPUs: n}); err != nil {
				note = " (" + err.Error() + ")"
			}
		}
		fmt.Printf("  %s %v%s\n", strings.TrimSuffix(filepath.Base(p), ".json"), on, note)
	}
	fmt.Println("schedulers:")
	list, err := schedulers()
	if err != nil {
		return err
	}
	for _, s := range list {
		fmt.Printf("  %s %s\n", s.Name, s.Object)
	}
	_, err = here()
	return err
}
