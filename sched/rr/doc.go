// Package rr is round robin with a queue per CPU: a task stays where it last ran, and takes turns with the others there.
package rr
