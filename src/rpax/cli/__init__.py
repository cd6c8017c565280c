"""The `rpax` command: one small module a verb, loaded when the verb is used."""
