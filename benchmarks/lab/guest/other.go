//go:build !linux || !amd64

package main

import "os"

func main() {
	os.Stderr.WriteString("the lab's guest is for linux/amd64\n")
	os.Exit(1)
}
