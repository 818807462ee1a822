package fidelity

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// digestSuffix and streamSuffix end the names of files with digests and with streams; other ".json" files are runs.
const (
	digestSuffix = ".digest.json"
	streamSuffix = ".ops.gz"
)

// Load reads recorded runs: files, and all that lie below folders. It brings runs together that differ in their seeds only,
// and leaves out the digest of a case of which there are several runs.
func Load(paths ...string) ([]*Case, error) {
	l := loader{byKey: map[string]*Case{}}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			if err := l.file(p); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".json") {
				return err
			}
			return l.file(name)
		})
		if err != nil {
			return nil, err
		}
	}
	if len(l.cases) == 0 {
		return nil, fmt.Errorf("%s: no recorded runs", strings.Join(paths, ", "))
	}
	for _, c := range l.cases {
		if len(c.Runs) > 1 {
			c.Digest = nil
		}
		if len(c.Runs) > 0 {
			c.sort()
		}
	}
	slices.SortFunc(l.cases, func(a, b *Case) int {
		return cmp.Or(strings.Compare(a.Workload, b.Workload), strings.Compare(a.Scheduler, b.Scheduler), a.CPUs-b.CPUs)
	})
	return l.cases, nil
}

type loader struct {
	cases []*Case
	byKey map[string]*Case
}

func (l *loader) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if strings.HasSuffix(name, digestSuffix) {
		d, err := ReadDigest(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		l.find(&d.Manifest).Digest = d
		return nil
	}
	r, err := Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c := l.find(&r.Manifest)
	if len(c.Runs) > 0 {
		if a, b := &c.Runs[0].Manifest, &r.Manifest; a.WorkloadSHA256 != b.WorkloadSHA256 || a.ObjectSHA256 != b.ObjectSHA256 {
			return fmt.Errorf("%s: the workload or the object is another than that of the other runs of %s", name, c.Name())
		}
	}
	stream := strings.TrimSuffix(name, ".json") + streamSuffix
	if _, err := os.Stat(stream); errors.Is(err, fs.ErrNotExist) {
		stream = ""
	} else if err != nil {
		return err
	}
	c.Runs, c.Streams = append(c.Runs, r), append(c.Streams, stream)
	return nil
}

// find returns the case of a run.
func (l *loader) find(m *Manifest) *Case {
	key := fmt.Sprintf("%s %s %d %s %s", m.Workload, m.Scheduler, m.CPUs, m.Topo, m.Mode)
	c := l.byKey[key]
	if c == nil {
		c = &Case{Workload: m.Workload, Scheduler: m.Scheduler, CPUs: m.CPUs, Manifest: *m}
		l.byKey[key] = c
		l.cases = append(l.cases, c)
	}
	return c
}

// sort brings the runs in the order of their seeds.
func (c *Case) sort() {
	at := make([]int, len(c.Runs))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return cmp.Compare(c.Runs[a].Manifest.Seed, c.Runs[b].Manifest.Seed) })
	runs, streams := slices.Clone(c.Runs), slices.Clone(c.Streams)
	for i, j := range at {
		c.Runs[i], c.Streams[i] = runs[j], streams[j]
	}
	c.Manifest = c.Runs[0].Manifest
}
