#!/bin/sh
grep -rn "](" site
