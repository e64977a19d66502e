"""A proxy in front of a CRM: what holds a customer's data goes through only under the rule of the lock."""
