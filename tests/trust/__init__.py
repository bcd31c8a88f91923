"""Tests of the guarantee under kills: nothing lost, nothing duplicated, nothing falsely reported done."""
