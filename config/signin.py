from allauth.account.adapter import DefaultAccountAdapter
class PortalAdapter(DefaultAccountAdapter): pass
