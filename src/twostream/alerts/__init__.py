"""Alerts: rules over scores in time, and where they are sent."""

from twostream.alerts.alarm_rates import AlarmRate, alarm_rates
from twostream.alerts.rules import Alarm, Rule, Watched

__all__ = ["Alarm", "AlarmRate", "Rule", "Watched", "alarm_rates"]
