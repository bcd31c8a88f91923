"""The promise held against kills: nothing lost, nothing twice, nothing called complete that is not."""
