// Package greeter greets.
package greeter
