package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/btf"
	"github.com/klauspost/compress/zstd"
)

// input names the files that describe one kernel.
type input struct {
	version string // "7.2"
	release string // "7.2.13"
	btf     string // raw BTF of vmlinux
	config  string // .config
	src     string // source tree, for KF_* flags
}

// file is one file of the generated package.
type file struct {
	name string
	data []byte
}

func main() {
	var in input
	flag.StringVar(&in.version, "version", "", "version by which the kernel is called, for example 7.2")
	flag.StringVar(&in.release, "release", "", "exact release, for example 7.2.13")
	flag.StringVar(&in.btf, "btf", "", "raw BTF of vmlinux (/sys/kernel/btf/vmlinux)")
	flag.StringVar(&in.config, "config", "", "kernel configuration (.config)")
	flag.StringVar(&in.src, "src", "", "kernel source tree")
	out := flag.String("out", "", "directory of the package to write")
	flag.Parse()
	if err := run(in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gentarget:", err)
		os.Exit(1)
	}
}

func run(in input, out string) error {
	if in.version == "" || in.release == "" || in.btf == "" || in.config == "" || in.src == "" || out == "" {
		return fmt.Errorf("-version, -release, -btf, -config, -src and -out are all needed")
	}
	files, err := generate(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(out, f.name), f.data, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes\n", f.name, len(f.data))
	}
	return nil
}

// generate makes the files of the package from in.
func generate(in input) ([]file, error) {
	raw, err := os.ReadFile(in.btf)
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.btf, err)
	}
	reduced, err := reduce(spec, schedExtRoots())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.btf, err)
	}
	config, err := os.ReadFile(in.config)
	if err != nil {
		return nil, err
	}
	kconfig, err := condenseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.config, err)
	}
	kfuncs, err := kfuncList(spec, in.src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.src, err)
	}
	types, err := compress(reduced)
	if err != nil {
		return nil, err
	}
	conf, err := compress(kconfig)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	code, err := goFile(in, hex.EncodeToString(sum[:]), len(raw), len(reduced))
	if err != nil {
		return nil, err
	}
	return []file{
		{"btf.zst", types},
		{"kconfig.zst", conf},
		{"kfuncs.txt", kfuncs},
		{"target_gen.go", code},
	}, nil
}

// compress packs data as one zstd frame. The encoder runs alone so that its output does not depend on the machine.
func compress(data []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.EncodeAll(data, nil), nil
}
